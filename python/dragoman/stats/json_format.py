"""/stats?format=json: one object, compact, histograms last in one of four shapes."""

import json
from collections.abc import Iterable, Sequence

from dragoman.stats.model import PERCENTILES, Histogram, Metric, disjoint
from dragoman.stats.numerals import json_number, per_quantile

_PERCENTILES = ",".join(json_number(p) for p in PERCENTILES)


def render(metrics: Iterable[Metric], buckets: str = "summary") -> str:
    """`{"stats":[…]}` of `metrics` (sorted by name). `buckets` as in `text.render`."""
    texts: list[str] = []
    numbers: list[str] = []
    histograms: list[tuple[str, Histogram]] = []
    for metric in metrics:
        name = json.dumps(metric.name)
        if metric.histogram is not None:
            histograms.append((name, metric.histogram))
        elif metric.kind == "text":
            texts.append(f'{{"name":{name},"value":{json.dumps(metric.text)}}}')
        else:
            numbers.append(f'{{"name":{name},"value":{metric.value}}}')
    items = texts + numbers
    if histograms:
        items.append(f'{{"histograms":{_histograms(histograms, buckets)}}}')
    return f'{{"stats":[{",".join(items)}]}}'


def _histograms(histograms: Sequence[tuple[str, Histogram]], mode: str) -> str:
    if mode == "detailed":
        rows = ",".join(_detailed(name, histogram) for name, histogram in histograms)
        return f'{{"supported_percentiles":[{_PERCENTILES}],"details":[{rows}]}}'
    if mode in ("cumulative", "disjoint"):
        return f"[{','.join(_bucketed(name, h, mode) for name, h in histograms)}]"
    rows = ",".join(f'{{"name":{name},"values":[{_quantiles(h)}]}}' for name, h in histograms)
    return f'{{"supported_quantiles":[{_PERCENTILES}],"computed_quantiles":[{rows}]}}'


def _quantiles(histogram: Histogram) -> str:
    rows = zip(
        per_quantile(histogram.cumulative, len(PERCENTILES)),
        per_quantile(histogram.interval, len(PERCENTILES)),
        strict=True,
    )
    return ",".join(
        f'{{"cumulative":{json_number(total)},"interval":{json_number(recent)}}}'
        for total, recent in rows
    )


def _detailed(name: str, histogram: Histogram) -> str:
    return (
        f'{{"name":{name},"totals":[{_bins(histogram.cumulative_bins)}],'
        f'"intervals":[{_bins(histogram.interval_bins)}],'
        f'"percentiles":[{_quantiles(histogram)}]}}'
    )


def _bins(bins: Sequence[tuple[float, float, int]]) -> str:
    return ",".join(
        f'{{"lower_bound":{json_number(low)},"width":{json_number(width)},"count":{count}}}'
        for low, width, count in bins
    )


def _bucketed(name: str, histogram: Histogram, mode: str) -> str:
    interval, cumulative = histogram.interval_buckets, histogram.cumulative_buckets
    if mode == "disjoint":
        interval, cumulative = disjoint(interval), disjoint(cumulative)
    rows = ",".join(
        f'{{"upper_bound":{json_number(bound)},"interval":{recent},"cumulative":{total}}}'
        for (bound, recent), (_, total) in zip(interval, cumulative, strict=True)
    )
    return f'{{"name":{name},"buckets":[{rows}]}}'
