"""`admin.allow_paths`: which request targets the admin page answers at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dragoman._core import Regex

_Test = Callable[[str], bool]


class Access:
    """The rules of `allow_paths` (envoy.type.matcher.v3.StringMatcher, as JSON).

    They see the whole target, query included. No rules allow everything.

    Raises:
        ValueError: a matcher of an unknown kind, or a regular expression that is none.
    """

    def __init__(self, matchers: Sequence[Mapping[str, Any]] = ()) -> None:
        self._tests = [_compile(matcher) for matcher in matchers]

    def allows(self, target: str) -> bool:
        """Whether `target` may be answered."""
        return not self._tests or any(test(target) for test in self._tests)


def _compile(matcher: Mapping[str, Any]) -> _Test:
    if "safe_regex" in matcher:
        try:
            expression = Regex(matcher["safe_regex"]["regex"])
        except ValueError as error:
            raise ValueError(f"allow_paths: {error}") from None
        return expression.fullmatch
    fold = str.lower if matcher.get("ignore_case") else str
    tests: dict[str, Callable[[str, str], bool]] = {
        "exact": str.__eq__,
        "prefix": str.startswith,
        "suffix": str.endswith,
        "contains": str.__contains__,
    }
    for kind, test in tests.items():
        if kind in matcher:
            wanted = fold(matcher[kind])
            return lambda target: test(fold(target), wanted)
    raise ValueError(f"allow_paths: a matcher of a kind not supported: {sorted(matcher)}")
