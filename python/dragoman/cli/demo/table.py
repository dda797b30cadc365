"""What the demo shows, as lines of styled text that fit a terminal's width and height.

Pure: styles are names that rich understands, but nothing here draws.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dragoman.cli.demo.metrics import Bins, Row, Side


class Span(NamedTuple):
    """Some text and its style."""

    text: str
    style: str = ""


Line = list[Span]


class Board(NamedTuple):
    """Everything that is shown.

    Attributes:
        facts: (what, value) of the lines at the top.
        history: route -> its P99 (ms, None without requests) of each interval, latest last.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    rows: Sequence[Row]
    history: Mapping[str, Sequence[float | None]]


#: A table without a distribution is that wide.
WIDTH = 79

_NAME = 15
_GROUP = 31
_BAR = Span("│", "dim")
_BLOCKS = " ▁▂▃▄▅▆▇█"
#: The scale of latencies: decades from 0.1 ms to 1 s.
_LOW, _DECADES = -1, 4
_TICKS = ("0.1", "1", "10", "100 ms")


def lines(board: Board, width: int, height: int) -> list[Line]:
    """All of the board, or as much as fits: the history gives way first."""
    cells = min(12, (width - WIDTH - 2) // _DECADES)
    beside = cells if cells >= 5 else 0
    shown = head(board, width) + table(board.rows, beside)
    if not beside:
        shown = _add(shown, distributions(board.rows, min(width, WIDTH)), height)
    return _add(shown, history(board, width), height)


def _add(shown: list[Line], more: list[Line], height: int) -> list[Line]:
    return [*shown, [], *more] if len(shown) + 1 + len(more) <= height else shown


def head(board: Board, width: int) -> list[Line]:
    """The title, and the facts: as many a line as fit."""
    found: list[Line] = [[Span(board.title, "bold")], []]
    for what, value in board.facts:
        used = sum(len(span.text) for span in found[-1])
        if used and used + 3 + len(what) + 1 + len(value) > width:
            found.append([])
            used = 0
        found[-1] += [Span(f"{'   ' if used else ''}{what} ", "dim"), Span(value)]
    return [*found, []]


def table(rows: Sequence[Row], cells: int = 0) -> list[Line]:
    """Two lines of headings and one a row; with `cells` a decade, distributions beside it."""
    group = "req/s  err  P50  P90  P99 P99.9"
    groups = f"{'last second (ms)':^{_GROUP}}", f"{'since start (ms)':^{_GROUP}}"
    over: Line = [Span(" " * _NAME), _BAR, Span(groups[0], "bold"), _BAR, Span(groups[1], "bold")]
    under: Line = [Span(f"{'route, endpoint':<{_NAME}}", "dim"), _BAR]
    under += [Span(group, "dim"), _BAR, Span(group, "dim")]
    if cells:
        over += [_BAR, Span(" requests by latency", "bold")]
        under += [_BAR, Span(" " + axis(cells), "dim")]
    found = [over, under]
    for place, row in enumerate(rows):
        last = place + 1 == len(rows) or not rows[place + 1].endpoint
        line = [_name(row, last), _BAR, *_side(row.recent), _BAR, *_side(row.total)]
        if cells:
            line += [_BAR, Span(" "), *distribution(row.bins, cells)]
        found.append(line)
    return found


def distributions(rows: Sequence[Row], width: int) -> list[Line]:
    """The distributions of routes, one a line, for terminals with no room beside the table."""
    cells = (width - _NAME) // _DECADES
    found: list[Line] = [[Span(f"{'by latency':<{_NAME}}", "bold"), Span(axis(cells), "dim")]]
    for row in rows:
        if not row.endpoint:
            found.append([Span(f"{row.route:<{_NAME}}"), *distribution(row.bins, cells)])
    return found


def history(board: Board, width: int) -> list[Line]:
    """The P99 of each route over time, one a line, the present at the right."""
    room = max(0, min(width, 2 * WIDTH) - _NAME - 10)
    found: list[Line] = [
        [Span(f"{'P99 over time':<{_NAME}}", "bold"), Span("ms, logarithmic", "dim")]
    ]
    for route, values in board.history.items():
        recent = list(values)[-room:] if room else []
        line = [Span(f"{route:<{_NAME}}")]
        for value in recent:
            share = 0.0 if value is None else (math.log10(max(value, 0.1)) - _LOW) / _DECADES
            line.append(Span(_block(share if value is not None else 0.0), _heat(value or 0.0)))
        if recent:
            line.append(Span(f" {milliseconds(recent[-1])}", "dim"))
        found.append(line)
    return found


def axis(cells: int) -> str:
    """The scale of a distribution: each decade's lower bound at its place."""
    return "".join(f"{tick:<{cells}}"[: max(cells, len(tick))] for tick in _TICKS)[
        : cells * _DECADES
    ]


def distribution(bins: Bins, cells: int) -> Line:
    """Counts by latency on logarithmic scales, both ways, so that a thin tail can be seen."""
    counts = [0] * (cells * _DECADES)
    for low, width, count in bins:
        middle = max(low + width / 2, 10.0**_LOW)
        place = int((math.log10(middle) - _LOW) * cells)
        counts[max(0, min(place, len(counts) - 1))] += count
    most = math.log1p(max(counts))
    return [
        Span(
            _block(math.log1p(count) / most if most else 0.0),
            _heat(10.0 ** (_LOW + place / cells)),
        )
        for place, count in enumerate(counts)
    ]


def milliseconds(value: float | None) -> str:
    """At most four characters: 0.42, 12.3, 345, 12s."""
    if value is None:
        return "-"
    for bound, digits in ((9.995, 2), (99.95, 1), (9999.5, 0)):
        if value < bound:
            return f"{value:.{digits}f}"
    return f"{min(value / 1000, 999):.0f}s"


def percent(share: float | None) -> str:
    """At most four characters: 0%, 4.9%, 12%."""
    if share is None:
        return "-"
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def plain(shown: Sequence[Line]) -> str:
    """The same without styles."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in shown)


def _name(row: Row, last: bool) -> Span:
    if not row.endpoint:
        return Span(f"{row.route:<{_NAME}}", "bold cyan")
    return Span(f"{('└ ' if last else '├ ') + row.endpoint:<{_NAME}}")


def _side(side: Side) -> Line:
    rate = "-" if side.rate is None else f"{side.rate:.0f}"
    bad = side.errors or 0.0
    style = "bold red" if bad >= 0.02 else "yellow" if bad > 0 else "dim"
    found = [Span(f"{rate:>5}"), Span(f"{percent(side.errors):>5}", style)]
    for width, value in zip((5, 5, 5, 6), side.percentiles, strict=True):
        found.append(Span(f"{milliseconds(value):>{width}}", _heat(value)))
    return found


def _heat(value: float | None) -> str:
    if value is None:
        return "dim"
    return "green" if value < 20 else "yellow" if value < 100 else "red"


def _block(share: float) -> str:
    """A bar of that height; what is more than nothing is seen."""
    return _BLOCKS[min(8, math.ceil(share * 8))] if share > 0 else " "
