"""From samples to figures: medians, spreads, ratios, and the JSON file of a run.

Pure: no clock, no process, no output.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.works import Kind

FORMAT = 1
SUBJECT = "dragoman"


@dataclass(frozen=True)
class Metric:
    """A figure's key, column title and decimals."""

    key: str
    title: str
    digits: int


#: Per kind of work, the columns; the first one is the headline that is compared and drawn.
COLUMNS: dict[Kind, tuple[Metric, ...]] = {
    Kind.REQUESTS: (
        Metric("cpu_us", "CPU µs/req", 2),
        Metric("user_us", "user", 2),
        Metric("system_us", "system", 2),
        Metric("per_second", "req/s", 0),
        Metric("p50_us", "p50 µs", 0),
        Metric("p99_us", "p99 µs", 0),
        Metric("rss_mib", "RSS MiB", 1),
        Metric("proxy_busy", "busy", 2),
        Metric("failures", "failed", 0),
    ),
    Kind.IDLE: (
        Metric("bytes_per_connection", "bytes/conn", 0),
        Metric("rss_before_mib", "RSS MiB before", 1),
        Metric("rss_mib", "with", 1),
    ),
    Kind.START: (
        Metric("answer_ms", "ms to answer", 1),
        Metric("listen_ms", "to accept", 1),
        Metric("rss_mib", "RSS MiB", 1),
        Metric("pss_mib", "PSS MiB", 1),
    ),
}


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of several samples."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises `BenchError` when there is no value."""
        if not values:
            raise BenchError("no samples")
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class WorkResult:
    """All samples of one work: per peer one per round, and why the other peers have none."""

    title: str
    kind: Kind
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def headline(self) -> Metric:
        """The metric that is compared."""
        return COLUMNS[self.kind][0]

    def spread(self, peer: str, key: str) -> Spread:
        """A metric of a peer over the rounds."""
        return Spread.of([sample[key] for sample in self.samples[peer]])

    def ratio(self, peer: str) -> Spread | None:
        """The subject's headline over the peer's, round by round; None without a subject.

        Rounds pair up because both were measured within the same minute.
        """
        pairs = zip(self.samples.get(SUBJECT, []), self.samples[peer], strict=False)
        key = self.headline.key
        values = [ours[key] / theirs[key] for ours, theirs in pairs if theirs[key] > 0]
        return Spread.of(values) if values else None


@dataclass
class Results:
    """A whole run."""

    date: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    settings: dict[str, float]
    works: dict[str, WorkResult] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the results file: samples for programs, medians and spreads for readers."""
        return {
            "format": FORMAT,
            "date": self.date,
            "machine": self.machine,
            "versions": self.versions,
            "settings": self.settings,
            "works": {name: _work_to_json(work) for name, work in self.works.items()},
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Results:
        """Reads `to_json`'s result; raises `BenchError` when it is of another format."""
        if told.get("format") != FORMAT:
            raise BenchError(f"not a results file of format {FORMAT}")
        works = {
            name: WorkResult(
                title=work["title"],
                kind=Kind(work["kind"]),
                samples={peer: figures["samples"] for peer, figures in work["peers"].items()},
                skipped=work["skipped"],
            )
            for name, work in told["works"].items()
        }
        return cls(told["date"], told["machine"], told["versions"], told["settings"], works)


def _work_to_json(work: WorkResult) -> dict[str, Any]:
    peers: dict[str, Any] = {}
    for peer, samples in work.samples.items():
        figures: dict[str, Any] = {}
        for key in samples[0]:
            spread = work.spread(peer, key)
            figures[key] = {
                "median": _short(spread.median),
                "min": _short(spread.low),
                "max": _short(spread.high),
            }
        ratio = work.ratio(peer)
        if ratio is not None:
            figures[f"{SUBJECT}_ratio"] = {
                "median": _short(ratio.median),
                "min": _short(ratio.low),
                "max": _short(ratio.high),
            }
        shortened = [{key: _short(value) for key, value in one.items()} for one in samples]
        peers[peer] = {"figures": figures, "samples": shortened}
    return {
        "title": work.title,
        "kind": work.kind.value,
        "headline": work.headline.key,
        "peers": peers,
        "skipped": work.skipped,
    }


def _short(value: float) -> float:
    """Four decimals: more would be noise in a committed file."""
    return round(value, 4)
