"""Two results files side by side: what became cheaper, what dearer. Pure."""

from __future__ import annotations

from bench.figures import SUBJECT, Results, WorkResult
from bench.table import aligned, number

#: Peers whose ratio is shown, because ratios survive a change of machine and figures don't.
YARDSTICK = "haproxy"


def verdict(old: WorkResult, new: WorkResult, peer: str) -> str:
    """Whether the two spans are apart; spans that overlap, or single rounds, say nothing."""
    key = old.headline.key
    if min(len(old.samples[peer]), len(new.samples[peer])) < 2:
        return "?"
    before, after = old.spread(peer, key), new.spread(peer, key)
    if after.high < before.low:
        return "less"
    if after.low > before.high:
        return "more"
    return "same"


def yardstick(work: WorkResult) -> str:
    """The subject over the yardstick, as text."""
    ratio = work.ratio(YARDSTICK) if YARDSTICK in work.samples else None
    return f"{ratio.median:.2f}" if ratio else "–"


def compare(old: Results, new: Results) -> str:
    """A line per work and peer that both runs have."""
    title = f"{SUBJECT}/{YARDSTICK}"
    rows = [["", "", "before", "after", "change", "", title]]
    for name, after in new.works.items():
        before = old.works.get(name)
        if before is None or before.kind is not after.kind:
            continue
        head = after.headline
        label = f"{name}, {head.title}"
        for peer in after.samples:
            if peer not in before.samples:
                continue
            was = before.spread(peer, head.key).median
            now = after.spread(peer, head.key).median
            ratio = f"{yardstick(before)} → {yardstick(after)}" if peer == SUBJECT else ""
            rows.append(
                [
                    label,
                    peer,
                    number(was, head.digits),
                    number(now, head.digits),
                    f"{now / was - 1:+.1%}" if was else "–",
                    verdict(before, after, peer),
                    ratio,
                ]
            )
            label = ""
    lines = aligned(rows)
    if old.machine != new.machine:
        lines.append("Different machines or kernels: only the ratios may be compared.")
    return "\n".join(lines)
