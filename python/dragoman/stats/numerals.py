"""How Envoy writes floating-point numbers: each of its formats has its own habit.

The spellings matter to people who diff or scrape them, so they are kept apart and tested.
"""

from collections.abc import Sequence
from math import isnan


def shortest(number: float) -> str:
    """The fewest digits that read back as the same number: `41.666666666666664`, `100`, `nan`."""
    text = repr(float(number))
    return text[:-2] if text.endswith(".0") else text


def six_digits(number: float) -> str:
    """At most six significant digits, as C's %g: `300000`, `1.8e+06`."""
    return f"{number:g}"


def exact(number: float) -> str:
    """32 significant digits: `26.490566037735849391765441396274`, `0.5`, `nan`."""
    return f"{number:.32g}"


def compact(number: float) -> str:
    """The shorter of the plain and the scientific spelling (plain on a tie): `30000`, `3e+05`."""
    plain = shortest(number)
    if isnan(number) or "e" in plain:
        return plain
    digits = plain.lstrip("-").replace(".", "").strip("0")
    scientific = f"{number:.{max(len(digits) - 1, 0)}e}"
    return scientific if len(scientific) < len(plain) else plain


def json_number(number: float | None) -> str:
    """`compact`, with null for "nothing recorded"."""
    return "null" if number is None or isnan(number) else compact(number)


def per_quantile(values: Sequence[float] | None, count: int) -> list[float | None]:
    """`count` values, None for each where nothing was recorded."""
    return [None] * count if values is None else list(values)
