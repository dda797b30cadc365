"""Every kind of `validate.rules` that a value can break."""

from typing import Any

import pytest

from dragoman.config import rule_checks
from dragoman.config.messages import types


def rules(kind: str, **set_fields: Any) -> Any:
    """A rules message, e.g. `rules("StringRules", min_len=1)`."""
    types().find("validate.FieldRules")
    message = types().new(f"validate.{kind}")
    for name, value in set_fields.items():
        name = name.rstrip("_")
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def broken(checks: list[Any], value: Any) -> list[str]:
    return [words for words in (check(value) for check in checks) if words is not None]


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        ({"gte": 1, "lte": 5}, [1, 5], [0, 6]),
        ({"gt": 1, "lt": 5}, [2, 4], [1, 5]),
        ({"gt": 5, "lt": 1}, [0, 6], [1, 3, 5]),
        ({"const": 3}, [3], [2]),
        ({"in_": [1, 2]}, [1, 2], [3]),
        ({"not_in": [1, 2]}, [3], [1, 2]),
    ],
)
def test_numbers(limits: dict[str, Any], good: list[int], bad: list[int]) -> None:
    checks = rule_checks.bounds(rules("UInt32Rules", **limits))
    assert [broken(checks, value) for value in good] == [[] for _ in good]
    assert all(len(broken(checks, value)) == 1 for value in bad)


def test_nan_is_in_no_range() -> None:
    checks = rule_checks.bounds(rules("DoubleRules", gte=0, lte=100))
    assert broken(checks, float("nan")) == ["must be at least 0 and at most 100"]


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        ({"min_len": 1}, ["a"], [""]),
        ({"min_len": 2, "max_len": 3}, ["ab", "äöü"], ["a", "abcd"]),
        ({"len": 2}, ["ab"], ["a", "abc"]),
        ({"max_bytes": 3}, ["ab"], ["äö"]),
        ({"min_bytes": 3}, ["äö"], ["ab"]),
        ({"len_bytes": 2}, ["ä"], ["äb"]),
        ({"const": "a"}, ["a"], ["b"]),
        ({"prefix": "a"}, ["ab"], ["ba"]),
        ({"suffix": "a"}, ["ba"], ["ab"]),
        ({"contains": "a"}, ["bab"], ["b"]),
        ({"not_contains": "a"}, ["b"], ["bab"]),
        ({"in_": ["a", "b"]}, ["a"], ["c"]),
        ({"not_in": ["a", "b"]}, ["c"], ["a"]),
        ({"pattern": "^[^?#]+[^?#/]$"}, ["/ab"], ["/a/", "/a?", "/ab\n/", "/"]),
        ({"pattern": r"^$|^.*\.mmdb$"}, ["", "a.mmdb"], ["a.mmdb\n", "a"]),
        ({"well_known_regex": 1}, [":path", "x-a"], ["a b", "", "a\n"]),
        ({"well_known_regex": 1, "strict": False}, ["a b", ""], ["a\n", "a\0"]),
        ({"well_known_regex": 2}, ["a b\t", ""], ["a\n", "\x7f"]),
        ({"well_known_regex": 2, "strict": False}, ["\x7f"], ["a\r"]),
        ({"ip": True}, ["1.2.3.4", "::1"], ["a", "1.2.3"]),
        ({"ipv4": True}, ["1.2.3.4"], ["::1"]),
        ({"ipv6": True}, ["::1"], ["1.2.3.4"]),
        ({"uri": True}, ["http://a"], ["a"]),
    ],
)
def test_texts(limits: dict[str, Any], good: list[str], bad: list[str]) -> None:
    checks = rule_checks.text(rules("StringRules", **limits))
    assert [broken(checks, value) for value in good] == [[] for _ in good]
    for value in bad:
        assert len(broken(checks, value)) == 1, repr(value)


def test_bytes() -> None:
    checks = rule_checks.data(rules("BytesRules", min_len=1, max_len=2))
    assert broken(checks, b"a") == []
    assert broken(checks, b"") == ["must not be empty"]
    assert broken(checks, b"abc") == ["must have at most 2 bytes"]


def test_every_pattern_of_envoys_api_compiles() -> None:
    """Patterns are RE2's; a Python that couldn't read one would fail at load time."""
    rule = None
    seen = 0
    waiting = [types().find(name) for name in types().names()]
    while waiting:
        descriptor = waiting.pop()
        waiting.extend(descriptor.nested_types)
        rule = rule or types().extension("validate.rules")
        for field in types().declaration(descriptor).field:
            string = field.options.Extensions[rule].string
            if string.HasField("pattern"):
                seen += 1
                assert rule_checks.text(string)
    types().forget_declarations()
    assert seen >= 8
