"""/stats/prometheus: Prometheus' text exposition format 0.0.4, grouped and named as Envoy does.

Within a family the samples keep the order of the full names; families are ordered by kind, then
by the name that is left once the tags are taken out. Names are compared part by part.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from dragoman.stats.model import PERCENTILES, Histogram, Metric
from dragoman.stats.numerals import exact, six_digits
from dragoman.stats.tags import extract

#: The values of `histogram_buckets` here.
BUCKET_MODES = ("cumulative", "summary")

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_PREFIX = "envoy_"

#: Text readouts are printed only when asked for, as gauges of value 0.
_KINDS = (("counter", "counter"), ("gauge", "gauge"), ("text", "gauge"), ("histogram", ""))

_Tags = Sequence[tuple[str, str]]


def render(
    metrics: Iterable[Metric],
    buckets: str = "cumulative",
    *,
    text_readouts: bool = False,
    fixed: tuple[tuple[str, str], ...] = (),
) -> str:
    """The exposition of `metrics`.

    Args:
        buckets: "cumulative" (histograms since start) or "summary" (quantiles of the last
            interval).
        text_readouts: print text readouts too, their text as the label `text_value`.
        fixed: tags that every metric carries.
    """
    by_kind: dict[str, dict[str, list[Metric]]] = defaultdict(lambda: defaultdict(list))
    for metric in metrics:
        by_kind[metric.kind][extract(metric.name, fixed).name].append(metric)
    histogram_type = "summary" if buckets == "summary" else "histogram"
    lines: list[str] = []
    for kind, family_type in _KINDS:
        if kind == "text" and not text_readouts:
            continue
        families = by_kind[kind]
        for extracted in sorted(families, key=_parts):
            family = _PREFIX + sanitize(extracted)
            lines.append(f"# TYPE {family} {family_type or histogram_type}")
            for metric in sorted(families[extracted], key=lambda m: _parts(m.name)):
                lines += _samples(family, metric, extract(metric.name, fixed).tags, buckets)
    return "".join(f"{line}\n" for line in lines)


def sanitize(name: str) -> str:
    """`name` with every character that a Prometheus name can't hold turned into `_`."""
    return _NOT_A_NAME.sub("_", name)


def _parts(name: str) -> list[str]:
    return name.split(".")


def _labels(tags: _Tags) -> str:
    return ",".join(f'{sanitize(label)}="{value.translate(_ESCAPES)}"' for label, value in tags)


def _samples(family: str, metric: Metric, tags: _Tags, buckets: str) -> Iterator[str]:
    labels = _labels(tags)
    if metric.histogram is None:
        if metric.kind == "text":
            labels = _labels([*tags, ("text_value", metric.text)])
        yield f"{family}{{{labels}}} {metric.value}"
    elif buckets == "summary":
        yield from _summary(family, metric.histogram, labels)
    else:
        yield from _histogram(family, metric.histogram, labels)


def _histogram(family: str, histogram: Histogram, labels: str) -> Iterator[str]:
    lead = f"{labels}," if labels else ""
    for bound, count in histogram.cumulative_buckets:
        yield f'{family}_bucket{{{lead}le="{exact(bound)}"}} {count}'
    yield f'{family}_bucket{{{lead}le="+Inf"}} {histogram.cumulative_count}'
    yield f"{family}_sum{{{labels}}} {exact(histogram.cumulative_sum)}"
    yield f"{family}_count{{{labels}}} {histogram.cumulative_count}"


def _summary(family: str, histogram: Histogram, labels: str) -> Iterator[str]:
    lead = f"{labels}," if labels else ""
    values = histogram.interval or (float("nan"),) * len(PERCENTILES)
    for percentile, value in zip(PERCENTILES, values, strict=True):
        quantile = six_digits(percentile / 100)
        yield f'{family}{{{lead}quantile="{quantile}"}} {exact(value)}'
    yield f"{family}_sum{{{labels}}} {exact(histogram.interval_sum)}"
    yield f"{family}_count{{{labels}}} {histogram.interval_count}"
