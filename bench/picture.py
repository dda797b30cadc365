"""Results as an SVG: a panel per work, a bar per peer, the subject in colour. Pure.

Bars of request works are split into user and system time; thin lines show least to greatest.
"""

from __future__ import annotations

from html import escape

from bench.figures import SUBJECT, Results, WorkResult
from bench.table import number
from bench.works import Kind

WIDTH = 1000
MARGIN = 28
GUTTER = 36
PANEL = (WIDTH - 2 * MARGIN - GUTTER) / 2
LABEL = 104
VALUE = 118
BAR = 17
STEP = 25
TITLE = 46
TOP = 92

INK, FAINT, PAPER = "#1f2933", "#66707c", "#ffffff"
#: User and system time, for the subject and for the others.
OURS, THEIRS = ("#0b7a75", "#5fbfb4"), ("#66758a", "#b4bfcd")

TITLES = {"dragoman": "Dragoman", "haproxy": "HAProxy", "haproxy-tcp": "HAProxy TCP"}
TITLES |= {"nginx": "nginx", "envoy": "Envoy", "caddy": "Caddy"}
UNITS = {
    Kind.REQUESTS: "µs of CPU per request",
    Kind.IDLE: "bytes per idle connection",
    Kind.START: "ms from exec to the first answer",
}


def text(x: float, y: float, words: str, **style: str) -> str:
    """A line of text; underscores in style names become hyphens."""
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(words)}</text>'


def rectangle(x: float, y: float, width: float, fill: str) -> str:
    """A piece of a bar."""
    size = f'width="{max(width, 0.6):.1f}" height="{BAR}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>'


def height_of(work: WorkResult) -> float:
    """A panel's height with the space below it."""
    return TITLE + STEP * len(work.samples) + 22


def bar(work: WorkResult, peer: str, x: float, y: float, scale: float) -> list[str]:
    """A peer's line in a panel."""
    head = work.headline
    spread = work.spread(peer, head.key)
    dark, light = OURS if peer == SUBJECT else THEIRS
    weight = "700" if peer == SUBJECT else "400"
    start, middle = x + LABEL, y + BAR / 2
    parts = [
        text(start - 8, middle + 4.5, TITLES.get(peer, peer), text_anchor="end", font_weight=weight)
    ]
    if work.kind is Kind.REQUESTS:
        user = work.spread(peer, "user_us").median
        parts.append(rectangle(start, y, spread.median * scale, light))
        parts.append(rectangle(start, y, min(user, spread.median) * scale, dark))
    else:
        parts.append(rectangle(start, y, max(0.0, spread.median) * scale, dark))
    low, high = start + max(0.0, spread.low) * scale, start + max(0.0, spread.high) * scale
    if high - low > 1:
        line = f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{INK}" stroke-width="1"/>'
        parts.append(line)
    words = number(spread.median, 1 if spread.median < 1000 else 0)
    end = max(high, start + spread.median * scale) + 6
    parts.append(text(end, middle + 4.5, words, font_weight=weight))
    ratio = None if peer == SUBJECT else work.ratio(peer)
    if ratio is not None and ratio.median > 0:
        shift = 7.4 * len(words) + 10
        parts.append(text(end + shift, middle + 4.5, f"{1 / ratio.median:.2f}×", fill=FAINT))
    return parts


def panel(name: str, work: WorkResult, x: float, y: float) -> list[str]:
    """A work."""
    parts = [
        text(x, y + 14, work.title[:1].upper() + work.title[1:], font_size="14", font_weight="700"),
        text(x, y + 31, f"{name}: {UNITS[work.kind]}", fill=FAINT, font_size="12"),
    ]
    key = work.headline.key
    top = max((work.spread(peer, key).high for peer in work.samples), default=0.0)
    scale = (PANEL - LABEL - VALUE) / top if top > 0 else 0.0
    for row, peer in enumerate(work.samples):
        parts += bar(work, peer, x, y + TITLE + row * STEP, scale)
    return parts


def heading(results: Results) -> list[str]:
    """Title, what the colours mean, and where it was measured."""
    machine = results.machine
    parts = [
        text(MARGIN, 34, "The same work, one proxy thread each", font_size="20", font_weight="700"),
        text(
            MARGIN,
            56,
            f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; "
            f"{results.date[:10]}; medians of {results.settings['rounds']:.0f} rounds, "
            "lines from least to greatest; less is better",
            fill=FAINT,
        ),
    ]
    x = float(MARGIN)
    for colours in (OURS, THEIRS) if _has_subject(results) else (THEIRS,):
        for colour, words in zip(colours, ("user time", "system time"), strict=True):
            parts.append(f'<rect x="{x:.1f}" y="66" width="11" height="11" fill="{colour}"/>')
            parts.append(text(x + 16, 76, words, fill=FAINT, font_size="12"))
            x += 84 if words == "user time" else 112
    if _has_subject(results):
        words = f"2.00× = twice {TITLES[SUBJECT]}'s cost, median of round-by-round ratios"
        parts.append(text(x, 76, words, fill=FAINT, font_size="12"))
    return parts


def _has_subject(results: Results) -> bool:
    return any(SUBJECT in work.samples for work in results.works.values())


def draw(results: Results) -> str:
    """The whole picture as SVG text; panels go to the shorter of two columns."""
    parts = heading(results)
    bottoms = [float(TOP), float(TOP)]
    for name, work in results.works.items():
        if not work.samples:
            continue
        column = 0 if bottoms[0] <= bottoms[1] else 1
        parts += panel(name, work, MARGIN + column * (PANEL + GUTTER), bottoms[column])
        bottoms[column] += height_of(work)
    versions = [
        f"{TITLES.get(peer, peer)} {version}"
        for peer, version in results.versions.items()
        if peer != "haproxy-tcp"
    ]
    foot = max(bottoms) + 8
    parts.append(text(MARGIN, foot, ", ".join(versions), fill=FAINT, font_size="12"))
    height = foot + 20
    font = "font-family=\"'Helvetica Neue',Arial,'DejaVu Sans',sans-serif\" font-size=\"13\""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'width="{WIDTH}" height="{height:.0f}" role="img" '
            f'aria-label="CPU cost per request of proxies" {font} fill="{INK}">',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )
