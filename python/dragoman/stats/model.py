"""The shape of a metric as the formats need it: structural types, so that any engine fits."""

from collections.abc import Sequence
from typing import Protocol

#: The quantiles of `Histogram.interval` and `Histogram.cumulative`, in per cent and in order.
PERCENTILES = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0)


class Histogram(Protocol):
    """Two summaries of one histogram: since start, and over the last flush interval."""

    @property
    def unit(self) -> str: ...
    @property
    def interval(self) -> Sequence[float] | None: ...
    @property
    def cumulative(self) -> Sequence[float] | None: ...
    @property
    def interval_count(self) -> int: ...
    @property
    def cumulative_count(self) -> int: ...
    @property
    def interval_sum(self) -> float: ...
    @property
    def cumulative_sum(self) -> float: ...
    @property
    def interval_buckets(self) -> Sequence[tuple[float, int]]: ...
    @property
    def cumulative_buckets(self) -> Sequence[tuple[float, int]]: ...
    @property
    def interval_bins(self) -> Sequence[tuple[float, float, int]]: ...
    @property
    def cumulative_bins(self) -> Sequence[tuple[float, float, int]]: ...


class Metric(Protocol):
    """One counter, gauge, histogram or text readout."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def histogram(self) -> Histogram | None: ...
    @property
    def used(self) -> bool: ...


def disjoint(buckets: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """The number of samples in each bucket alone, from cumulative counts."""
    below = 0
    alone = []
    for bound, count in buckets:
        alone.append((bound, count - below))
        below = count
    return alone
