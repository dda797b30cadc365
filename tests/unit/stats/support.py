"""The metrics behind the recorded answers in golden/, rebuilt from the answers themselves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Histogram:
    interval: list[float] | None
    cumulative: list[float] | None
    interval_buckets: list[tuple[float, int]]
    cumulative_buckets: list[tuple[float, int]]
    interval_bins: list[tuple[float, float, int]]
    cumulative_bins: list[tuple[float, float, int]]
    unit: str = "ms"

    @property
    def interval_count(self) -> int:
        return sum(count for *_, count in self.interval_bins)

    @property
    def cumulative_count(self) -> int:
        return sum(count for *_, count in self.cumulative_bins)

    @property
    def interval_sum(self) -> float:
        return _sum(self.interval_bins)

    @property
    def cumulative_sum(self) -> float:
        return _sum(self.cumulative_bins)


@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    value: int = 0
    text: str = ""
    histogram: Histogram | None = None
    used: bool = True


def read(name: str) -> str:
    return (GOLDEN / name).read_text()


def metrics() -> list[Metric]:
    """Every recorded metric, sorted by name."""
    used = {line.partition(": ")[0] for line in read("usedonly.txt").splitlines()}
    found = [
        Metric(name, kind, int(value), used=name in used)
        for kind, file in (("counter", "counters.txt"), ("gauge", "gauges.txt"))
        for name, _, value in (line.partition(": ") for line in read(file).splitlines())
    ]
    found += [
        Metric(name, "histogram", histogram=histogram, used=name in used)
        for name, histogram in _histograms().items()
    ]
    return sorted(found, key=lambda metric: metric.name)


def empty_histogram() -> Histogram:
    return Histogram(None, None, [(0.5, 0)], [(0.5, 0)], [], [])


def _histograms() -> dict[str, Histogram]:
    detailed = json.loads(read("detailed.json"))["stats"][0]["histograms"]["details"]
    bucketed = json.loads(read("cumulative.json"))["stats"][0]["histograms"]
    return {
        row["name"]: Histogram(
            interval=_values(row["percentiles"], "interval"),
            cumulative=_values(row["percentiles"], "cumulative"),
            interval_buckets=[(b["upper_bound"], b["interval"]) for b in buckets["buckets"]],
            cumulative_buckets=[(b["upper_bound"], b["cumulative"]) for b in buckets["buckets"]],
            interval_bins=_bins(row["intervals"]),
            cumulative_bins=_bins(row["totals"]),
        )
        for row, buckets in zip(detailed, bucketed, strict=True)
    }


def _values(rows: list[dict[str, Any]], which: str) -> list[float] | None:
    values = [row[which] for row in rows]
    return None if values[0] is None else values


def _bins(rows: list[dict[str, Any]]) -> list[tuple[float, float, int]]:
    return [(row["lower_bound"], row["width"], row["count"]) for row in rows]


def _sum(bins: list[tuple[float, float, int]]) -> float:
    """Envoy's histograms take a bin's middle to be where its relative error is smallest."""
    total = 0.0
    for low, width, count in bins:
        if low:
            total += count * (low + width * (low / (low + low + width)))
    return total
