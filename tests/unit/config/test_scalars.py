"""Single values into fields. The tables were recorded from a real Envoy's accept and reject."""

import math

import pytest

from dragoman.config.messages import types
from dragoman.config.nodes import Value
from dragoman.config.scalars import (
    BadValue,
    read_bool,
    read_bytes,
    read_duration,
    read_enum,
    read_integer,
    read_number,
    read_text,
)

CODEC = (
    types()
    .find("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
    .enum_types_by_name["CodecType"]
)


@pytest.mark.parametrize("value", ["true", "True", "t", "yes", "Y", "1", "yEs", True])
def test_true(value: Value) -> None:
    assert read_bool(value) is True


@pytest.mark.parametrize("value", ["false", "F", "no", "n", "0", False])
def test_false(value: Value) -> None:
    assert read_bool(value) is False


@pytest.mark.parametrize("value", [0, 1, "foo", "", 1.0, "on"])
def test_no_boolean(value: Value) -> None:
    with pytest.raises(BadValue):
        read_bool(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), ("5", 5), ("+5", 5), ("08", 8), ("5.0", 5), (5.0, 5), ("1e2", 100), (5e3, 5000)],
)
def test_whole_numbers(value: Value, number: int) -> None:
    assert read_integer(value, 0, 2**32 - 1) == number


@pytest.mark.parametrize(
    "value",
    [5.5, "5.5", " 5", "5 ", "0x10", "1_000", "", True, -5, "-5", 2**32, "5000000000", "1e999",
     float("inf"), float("nan"), "9" * 5000],
)  # fmt: skip
def test_no_whole_number_in_range(value: Value) -> None:
    with pytest.raises(BadValue):
        read_integer(value, 0, 2**32 - 1)


def test_fractions() -> None:
    assert read_number("5.5", False) == 5.5
    assert read_number(".5", False) == 0.5
    assert math.isnan(read_number("NaN", False))
    assert read_number("-Infinity", False) == -math.inf
    for value in (True, ".nan", ".inf", "1_0", "inf", "1e999", float("inf"), "0x1p3"):
        with pytest.raises(BadValue):
            read_number(value, False)
    with pytest.raises(BadValue):
        read_number(1e39, True)


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [("1s", 1, 0), ("1.5s", 1, 500_000_000), ("0.250s", 0, 250_000_000), ("-1s", -1, 0),
     ("-0.5s", 0, -500_000_000), ("0s", 0, 0), ("1.000000001s", 1, 1),
     ("315576000000s", 315_576_000_000, 0)],
)  # fmt: skip
def test_durations(value: str, seconds: int, nanos: int) -> None:
    assert read_duration(value) == (seconds, nanos)


@pytest.mark.parametrize(
    "value",
    [5, "5", "5ms", "1m", ".5s", "1.s", "+1s", "1.0123456789s", "315576000001s", "1e3s", "1 s", "",
     "s", "1s ", True],
)  # fmt: skip
def test_no_duration(value: Value) -> None:
    with pytest.raises(BadValue):
        read_duration(value)


@pytest.mark.parametrize("value", ["HTTP1", "http1", "Http1", 1, "1"])
def test_enumerations_by_name_in_any_case_and_by_number(value: Value) -> None:
    assert read_enum(CODEC, value) == 1


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(BadValue) as caught:
        read_enum(CODEC, "HTP1")
    assert caught.value.code == "DG0105"
    assert "HTTP1" in caught.value.help
    # open enumerations take unknown numbers: the rule `defined_only` speaks about them
    assert read_enum(CODEC, 77) == 77


@pytest.mark.parametrize("value", ["aGk=", "aGk", "_-8=", "/+8="])
def test_base64_in_both_alphabets(value: str) -> None:
    assert read_bytes(value) in (b"hi", b"\xff\xef")


@pytest.mark.parametrize("value", ["a", "a b=", "äöü", 5, "aGk=\n"])
def test_no_base64(value: Value) -> None:
    with pytest.raises(BadValue):
        read_bytes(value)


def test_text_is_not_made_of_other_kinds() -> None:
    assert read_text("1.5") == "1.5"
    for value in (5, True, 1.5):
        with pytest.raises(BadValue, match="expected a text"):
            read_text(value)
