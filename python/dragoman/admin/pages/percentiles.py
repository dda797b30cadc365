"""/dragoman/percentiles: the latencies of every route and every endpoint, side by side.

Generic over names: a histogram belongs here if its name says that it is about one of `SUBJECTS`.
"""

import re
from typing import Any

from dragoman.admin.answer import Answer, json_answer
from dragoman.admin.face import Proxy
from dragoman.admin.query import Query
from dragoman.stats.model import PERCENTILES, Metric
from dragoman.stats.numerals import six_digits

#: What a histogram is about, by its name.
SUBJECTS = {
    "route": re.compile(r"^vhost\."),
    "endpoint": re.compile(r"^cluster\..+\.endpoint\."),
}


def percentiles(proxy: Proxy, query: Query) -> Answer:
    """Percentiles since start and over the last interval, in the histogram's unit."""
    pattern = query.pattern("filter")
    chosen = [
        metric
        for metric in proxy.engine.stats()
        if metric.histogram is not None
        and _subject(metric.name) is not None
        and (pattern is None or pattern.search(metric.name))
    ]
    if query.get("format") == "json":
        rows = [row for metric in chosen if (row := _row(metric)) is not None]
        return json_answer({"percentiles": list(PERCENTILES), "histograms": rows})
    return Answer(_table(chosen))


def _subject(name: str) -> str | None:
    found = (subject for subject, names in SUBJECTS.items() if names.search(name))
    return next(found, None)


def _row(metric: Metric) -> dict[str, Any] | None:
    histogram = metric.histogram
    if histogram is None:
        return None
    return {
        "name": metric.name,
        "subject": _subject(metric.name),
        "unit": histogram.unit,
        "cumulative": {
            "count": histogram.cumulative_count,
            "sum": histogram.cumulative_sum,
            "values": list(histogram.cumulative or []),
        },
        "interval": {
            "count": histogram.interval_count,
            "sum": histogram.interval_sum,
            "values": list(histogram.interval or []),
        },
    }


def _table(metrics: list[Metric]) -> str:
    head = ["name", "unit", "count", *(f"P{six_digits(p)}" for p in PERCENTILES)]
    rows = [head]
    for metric in metrics:
        histogram = metric.histogram
        if histogram is None or histogram.cumulative is None:
            continue
        values = [six_digits(value) for value in histogram.cumulative]
        rows.append([metric.name, histogram.unit, str(histogram.cumulative_count), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )
