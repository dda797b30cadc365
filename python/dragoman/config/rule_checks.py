"""Checks of single values, one maker per kind of `validate.rules`. A check takes a value and gives
a text that says what it must be, or None. Compiled once per field by validate_rules.py.
"""

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], str | None]

_HEADER = {
    # kind: (strict, relaxed), as protoc-gen-validate defines its well-known expressions
    "name": (r"\A:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+\Z", r"\A[^\x00\n\r]*\Z"),
    "value": (r"\A[^\x00-\x08\x0a-\x1f\x7f]*\Z", r"\A[^\x00\n\r]*\Z"),
}
_HEADER_NAME, _HEADER_VALUE = 1, 2


def bounds(
    rules: Any, unit: str = "", value_of: Callable[[Any], Any] = lambda value: value
) -> list[Check]:
    """const, lt, lte, gt, gte, in and not_in of numbers (durations by `value_of`)."""
    checks: list[Check] = []

    def limit(name: str) -> Any:
        return value_of(getattr(rules, name)) if rules.HasField(name) else None

    const = limit("const")
    if const is not None:
        checks.append(lambda value: None if value == const else f"must be {_show(const)}{unit}")
    low, low_open = (limit("gte"), False) if rules.HasField("gte") else (limit("gt"), True)
    high, high_open = (limit("lte"), False) if rules.HasField("lte") else (limit("lt"), True)
    if low is not None or high is not None:
        checks.append(_range(low, low_open, high, high_open, unit))
    allowed = [value_of(each) for each in getattr(rules, "in")]
    if allowed:
        text = f"must be one of {', '.join(map(_show, allowed))}"
        checks.append(lambda value: None if value in allowed else text)
    denied = [value_of(each) for each in rules.not_in]
    if denied:
        checks.append(lambda value: f"must not be {_show(value)}" if value in denied else None)
    return checks


def _range(low: Any, low_open: bool, high: Any, high_open: bool, unit: str) -> Check:
    words = []
    if low is not None:
        words.append(f"{'more than' if low_open else 'at least'} {_show(low)}{unit}")
    if high is not None:
        words.append(f"{'less than' if high_open else 'at most'} {_show(high)}{unit}")
    outside = low is not None and high is not None and low > high
    text = "must be " + (" or " if outside else " and ").join(words)

    # Written so that NaN, which compares false with everything, is always a fault.
    def check(value: Any) -> str | None:
        above = low is None or (value > low if low_open else value >= low)
        below = high is None or (value < high if high_open else value <= high)
        return None if (above or below if outside else above and below) else text

    return check


def text(rules: Any) -> list[Check]:
    """StringRules. Lengths count characters, `_bytes` count UTF-8 bytes."""
    checks = _lengths(rules, len, "character")
    checks += _sizes(rules)
    checks += _affixes(rules)
    if rules.HasField("pattern"):
        checks.append(_pattern(rules.pattern, f"must match {rules.pattern}"))
    if rules.HasField("const"):
        const = rules.const
        checks.append(lambda value: None if value == const else f"must be '{const}'")
    allowed, denied = list(getattr(rules, "in")), list(rules.not_in)
    if allowed:
        words = f"must be one of {', '.join(allowed)}"
        checks.append(lambda value: None if value in allowed else words)
    if denied:
        checks.append(lambda value: f"must not be '{value}'" if value in denied else None)
    checks += _well_known(rules)
    return checks


def data(rules: Any) -> list[Check]:
    """BytesRules: lengths are what Envoy's API uses."""
    return _lengths(rules, len, "byte")


def _lengths(rules: Any, measure: Callable[[Any], int], unit: str) -> list[Check]:
    low = rules.min_len if rules.HasField("min_len") else None
    high = rules.max_len if rules.HasField("max_len") else None
    if rules.HasField("len"):
        low = high = rules.len
    return _length_checks(low, high, measure, unit)


def _sizes(rules: Any) -> list[Check]:
    low = rules.min_bytes if rules.HasField("min_bytes") else None
    high = rules.max_bytes if rules.HasField("max_bytes") else None
    if rules.HasField("len_bytes"):
        low = high = rules.len_bytes
    return _length_checks(low, high, lambda value: len(value.encode()), "byte")


def _length_checks(
    low: int | None, high: int | None, measure: Callable[[Any], int], unit: str
) -> list[Check]:
    checks: list[Check] = []
    if low is not None:
        least = "must not be empty" if low == 1 else f"must have at least {low} {unit}s"
        checks.append(lambda value: least if measure(value) < low else None)
    if high is not None:
        most = f"must have at most {high} {unit}s"
        checks.append(lambda value: most if measure(value) > high else None)
    return checks


def _affixes(rules: Any) -> list[Check]:
    tests: list[tuple[str, Callable[[str, str], bool], str]] = [
        ("prefix", str.startswith, "must start with"),
        ("suffix", str.endswith, "must end with"),
        ("contains", str.__contains__, "must contain"),
        ("not_contains", lambda value, part: part not in value, "must not contain"),
    ]
    checks: list[Check] = []
    for name, test, words in tests:
        if rules.HasField(name):
            part = getattr(rules, name)
            checks.append(_affix(test, part, f"{words} '{part}'"))
    return checks


def _affix(test: Callable[[str, str], bool], part: str, words: str) -> Check:
    return lambda value: None if test(value, part) else words


def _well_known(rules: Any) -> list[Check]:
    checks: list[Check] = []
    kind = rules.WhichOneof("well_known")
    if kind == "well_known_regex":
        strict = not rules.HasField("strict") or rules.strict
        name = "name" if rules.well_known_regex == _HEADER_NAME else "value"
        if rules.well_known_regex in (_HEADER_NAME, _HEADER_VALUE):
            pattern = _HEADER[name][0 if strict else 1]
            checks.append(_pattern(pattern, f"must be a valid header {name}"))
    elif kind in ("ip", "ipv4", "ipv6"):
        checks.append(lambda value: None if _is_ip(value, kind) else f"must be an {kind} address")
    elif kind == "uri":
        checks.append(_pattern(r"\A[A-Za-z][A-Za-z0-9+.\-]*:\S*\Z", "must be an absolute URI"))
    elif kind in ("uri_ref", "hostname", "address", "email", "uuid"):
        checks.append(_pattern(r"\A\S+\Z", f"must be a valid {kind}"))
    return checks


def _is_ip(value: str, kind: str) -> bool:
    import socket

    families = {"ipv4": [socket.AF_INET], "ipv6": [socket.AF_INET6]}
    for family in families.get(kind, [socket.AF_INET, socket.AF_INET6]):
        try:
            socket.inet_pton(family, value)
        except (OSError, ValueError):
            continue
        return True
    return False


def _pattern(pattern: str, words: str) -> Check:
    # In RE2 "$" is the text's end; in Python it also stands before a last line break.
    compiled = re.compile(re.sub(r"(?<!\\)\$(?=\||\)|\Z)", r"\\Z", pattern))
    return lambda value: None if compiled.search(value) else words


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value)
