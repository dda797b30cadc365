"""Which metrics a reader asked for: /stats' `filter`, `invert_filter`, `usedonly` and `type`."""

from collections.abc import Iterable
from dataclasses import dataclass

from dragoman._core import Regex
from dragoman.stats.model import Metric

#: The values of the query parameter `type`, and the kind that each stands for.
TYPES = {
    "All": None,
    "Counters": "counter",
    "Gauges": "gauge",
    "Histograms": "histogram",
    "TextReadouts": "text",
}


@dataclass(frozen=True)
class Selection:
    """A choice of metrics. The default takes all.

    Attributes:
        pattern: searched for in the name (not anchored); None matches every name.
        invert: take the names that `pattern` doesn't match.
        used_only: leave out what was never written.
        kind: one of `TYPES`' values; None for all kinds.
    """

    pattern: Regex | None = None
    invert: bool = False
    used_only: bool = False
    kind: str | None = None

    def takes(self, metric: Metric) -> bool:
        """Whether `metric` is part of the answer."""
        if self.used_only and not metric.used:
            return False
        if self.kind is not None and metric.kind != self.kind:
            return False
        if self.pattern is None:
            return True
        return self.pattern.search(metric.name) != self.invert

    def apply(self, metrics: Iterable[Metric]) -> list[Metric]:
        """The chosen metrics, in the order given."""
        return [metric for metric in metrics if self.takes(metric)]
