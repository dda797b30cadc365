from math import nan

import pytest

from dragoman.stats.numerals import compact, exact, json_number, shortest, six_digits


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (100, "100"), (2.05, "2.05"), (1e16, "1e+16"), (nan, "nan"), (1 / 3, str(1 / 3))],
)
def test_shortest(number: float, text: str) -> None:
    assert shortest(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (30000, "30000"),
        (60000, "60000"),
        (300000, "3e+05"),
        (600000, "6e+05"),
        (1800000, "1800000"),
        (3600000, "3600000"),
        (41.666666666666664, "41.666666666666664"),
    ],
)
def test_compact_as_a_real_envoy(number: float, text: str) -> None:
    assert compact(number) == text
    assert float(compact(number)) == number


def test_the_other_spellings() -> None:
    assert [six_digits(n) for n in (0.5, 600000, 3600000)] == ["0.5", "600000", "3.6e+06"]
    assert exact(26.49056603773585) == "26.490566037735849391765441396274"
    assert [json_number(n) for n in (None, nan, 1.0)] == ["null", "null", "1"]
