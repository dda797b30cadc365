"""Results as plain text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import COLUMNS, SUBJECT, Metric, Results, Spread, WorkResult
from bench.works import Kind

#: Above this share of the proxy's core used by others, figures are called noisy.
NOISY = 0.03


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def number(value: float, digits: int) -> str:
    """With thousands separated, as people read it."""
    return f"{value:,.{digits}f}"


def span(spread: Spread, digits: int) -> str:
    """Least to greatest."""
    return f"{number(spread.low, digits)}–{number(spread.high, digits)}"


def work_table(name: str, work: WorkResult) -> str:
    """One work: a line per peer, then what stands out."""
    columns = COLUMNS[work.kind]
    head = columns[0]
    rows = [["", head.title, "min–max", *(c.title for c in columns[1:]), f"{SUBJECT}/peer", ""]]
    for peer in work.samples:
        ratio = None if peer == SUBJECT else work.ratio(peer)
        spread = work.spread(peer, head.key)
        rows.append(
            [
                peer,
                number(spread.median, head.digits),
                span(spread, head.digits),
                *(_cell(work, peer, column) for column in columns[1:]),
                f"{ratio.median:.2f}" if ratio else "",
                f"[{span(ratio, 2)}]" if ratio else "",
            ]
        )
    lines = [f"{name}: {work.title}", *(f"  {line}" for line in aligned(rows))]
    lines += [f"  {peer}: {reason}" for peer, reason in work.skipped.items()]
    return "\n".join(lines + _warnings(work))


def _cell(work: WorkResult, peer: str, column: Metric) -> str:
    spread = work.spread(peer, column.key)
    # A single failure in any round must show, which a median would hide.
    value = spread.high if column.key == "failures" else spread.median
    return number(value, column.digits)


def _warnings(work: WorkResult) -> list[str]:
    if work.kind is not Kind.REQUESTS:
        return []
    worst = max((work.spread(peer, "others_busy").high for peer in work.samples), default=0.0)
    if worst <= NOISY:
        return []
    return [f"  noisy: others used up to {worst:.0%} of the proxy's core"]


def whole(results: Results) -> str:
    """A run."""
    machine, settings = results.machine, results.settings
    versions = ", ".join(f"{peer} {version}" for peer, version in results.versions.items())
    lines = [
        f"{results.date}  {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}",
        versions,
        f"medians of {settings['rounds']:.0f} rounds of {settings['seconds']:g} s, "
        "one proxy thread on a core of its own",
    ]
    tables = [work_table(name, work) for name, work in results.works.items()]
    return "\n\n".join(["\n".join(lines), *tables])
