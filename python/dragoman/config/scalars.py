"""Single values as protobuf's JSON form writes them. Each function takes a scalar of the tree and
gives the field's value, or raises BadValue saying what was expected. Rules checked against Envoy.
"""

import binascii
import math
import re
from typing import Any

from dragoman.config.diagnostics import did_you_mean
from dragoman.config.nodes import Value
from dragoman.config.shapes import (
    BOOL,
    BYTES,
    DOUBLE,
    ENUM,
    FLOAT,
    INTEGER_RANGES,
    STRING,
    Field,
    enum_numbers,
)

_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s\Z")
_LARGEST_FLOAT = 3.4028235677973366e38
_LONGEST_DURATION = 315_576_000_000


class BadValue(Exception):
    """The value doesn't fit: diagnostic code, what is wrong, what would be right."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


def read_scalar(field: Field, value: Value) -> Any:
    """The Python value that protobuf takes for `field`. `value` isn't None."""
    kind = field.kind
    if kind == STRING:
        return read_text(value)
    if kind == BOOL:
        return read_bool(value)
    if kind in INTEGER_RANGES:
        return read_integer(value, *INTEGER_RANGES[kind])
    if kind == ENUM:
        return read_enum(field.enum, value)
    if kind in (DOUBLE, FLOAT):
        return read_number(value, kind == FLOAT)
    assert kind == BYTES
    return read_bytes(value)


def kind_of(value: Value) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    return "a text" if isinstance(value, str) else "a number"


def read_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    # YAML's plain scalars: Envoy turns `yes` and `5` into other kinds and then refuses them.
    raise BadValue(
        "DG0103", f"expected a text, found {kind_of(value)}", "put the value into quotes"
    )


def read_bool(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
    raise BadValue("DG0103", f"expected true or false, found {_shown(value)}")


def read_integer(value: Value, lowest: int, highest: int) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _INTEGER.match(value):
        number = int(value)
    elif isinstance(value, float) or (isinstance(value, str) and _NUMBER.match(value)):
        fraction = float(value)
        if math.isfinite(fraction) and fraction.is_integer():
            number = int(fraction)
    if number is None:
        raise BadValue("DG0103", f"expected a whole number, found {_shown(value)}")
    if not lowest <= number <= highest:
        raise BadValue("DG0104", f"{_shown(number)} is outside {lowest} .. {highest}")
    return number


def read_number(value: Value, single: bool) -> float:
    if isinstance(value, bool) or value is None:
        raise BadValue("DG0103", f"expected a number, found {kind_of(value)}")
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        if not _NUMBER.match(value):
            raise BadValue("DG0103", f"expected a number, found {_shown(value)}")
    number = float(value)
    if math.isinf(number) or (single and abs(number) > _LARGEST_FLOAT):
        raise BadValue("DG0104", "the number is too large")
    return number


def read_bytes(value: Value) -> bytes:
    if not isinstance(value, str):
        raise BadValue("DG0103", f"expected base64 text, found {kind_of(value)}")
    text = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadValue("DG0104", "not valid base64") from None


def read_enum(descriptor: Any, value: Value) -> int:
    numbers = enum_numbers(descriptor)
    if isinstance(value, str):
        number = numbers.get(value.upper())
        if number is not None:
            return number
        if not _INTEGER.match(value):
            raise BadValue(
                "DG0105",
                f"{descriptor.name} has no value {_shown(value)}",
                did_you_mean(value.upper(), numbers) or f"one of {', '.join(list(numbers)[:12])}",
            )
    return read_integer(value, -(2**31), 2**31 - 1)


def read_duration(value: Value) -> tuple[int, int]:
    """Seconds and nanoseconds of `1.5s`."""
    help = "write seconds with an 's', such as 1.5s or 0.250s"
    if not isinstance(value, str):
        raise BadValue("DG0103", f"expected a duration, found {kind_of(value)}", help)
    match = _DURATION.match(value)
    if match is None:
        raise BadValue("DG0104", f"{_shown(value)} is not a duration", help)
    sign = -1 if match[1] else 1
    seconds = int(match[2])
    if seconds > _LONGEST_DURATION:
        raise BadValue("DG0104", "the duration is longer than 10,000 years")
    nanos = int((match[3] or "").ljust(9, "0"))
    return sign * seconds, sign * nanos


def _shown(value: Value) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
