"""/stats as text: one line a metric; text readouts, then numbers, then histograms."""

from collections.abc import Iterable, Iterator, Sequence

from dragoman.stats.model import PERCENTILES, Histogram, Metric, disjoint
from dragoman.stats.numerals import shortest, six_digits

#: The values of `histogram_buckets` here. "none" is an older name of "summary".
BUCKET_MODES = ("cumulative", "disjoint", "detailed", "summary", "none")


def render(metrics: Iterable[Metric], buckets: str = "summary") -> str:
    """The lines of `metrics` (sorted by name). `buckets` is one of `BUCKET_MODES`."""
    texts: list[str] = []
    numbers: list[str] = []
    histograms: list[str] = []
    for metric in metrics:
        if metric.histogram is not None:
            histograms.append(_histogram(metric.name, metric.histogram, buckets))
        elif metric.kind == "text":
            texts.append(f'{metric.name}: "{metric.text}"\n')
        else:
            numbers.append(f"{metric.name}: {metric.value}\n")
    return "".join(texts + numbers + histograms)


def _histogram(name: str, histogram: Histogram, mode: str) -> str:
    if histogram.cumulative_count == 0:
        return f"{name}: No recorded values\n"
    if mode == "detailed":
        return (
            f"{name}:\n  totals={_bins(histogram.cumulative_bins)}\n"
            f"  intervals={_bins(histogram.interval_bins)}\n"
            f"  summary={summary(histogram)}\n"
        )
    if mode == "cumulative":
        pairs = _pairs(histogram.interval_buckets, histogram.cumulative_buckets)
    elif mode == "disjoint":
        pairs = _pairs(disjoint(histogram.interval_buckets), disjoint(histogram.cumulative_buckets))
    else:
        return f"{name}: {summary(histogram)}\n"
    return f"{name}: {' '.join(pairs)}\n"


def summary(histogram: Histogram) -> str:
    """`P0(interval,cumulative) P25(…) …`, `nan` where nothing was recorded."""
    nothing = (float("nan"),) * len(PERCENTILES)
    rows = zip(
        PERCENTILES,
        histogram.interval or nothing,
        histogram.cumulative or nothing,
        strict=True,
    )
    return " ".join(f"P{shortest(p)}({shortest(i)},{shortest(c)})" for p, i, c in rows)


def _bins(bins: Sequence[tuple[float, float, int]]) -> str:
    return ", ".join(f"{six_digits(low)},{six_digits(w)}:{count}" for low, w, count in bins)


def _pairs(
    interval: Sequence[tuple[float, int]], cumulative: Sequence[tuple[float, int]]
) -> Iterator[str]:
    for (bound, recent), (_, total) in zip(interval, cumulative, strict=True):
        yield f"B{six_digits(bound)}({recent},{total})"
