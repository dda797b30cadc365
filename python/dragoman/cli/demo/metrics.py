"""From the admin page's /stats to rows of a table: rates, error rates and percentiles.

Pure. The percentiles are the proxy's own, over its last interval and since its start; only rates
are computed here, from two looks at its counters.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dragoman.cli.demo.layout import Route

#: The query for what `read` wants.
TARGET = (
    "/stats?format=json&histogram_buckets=detailed&filter="
    r"^vhost%5C.demo%5C.|%5C.endpoint%5C.|%5C.upstream_rq_(completed|5xx)$"
)

#: What is shown of `supported_percentiles`.
PERCENTILES = (50.0, 90.0, 99.0, 99.9)

#: (lower bound, width, count), in ms.
Bins = tuple[tuple[float, float, int], ...]


class Latency(NamedTuple):
    """One histogram. Percentiles are in ms, as in `PERCENTILES`; None: nothing recorded."""

    recent: tuple[float | None, ...]
    total: tuple[float | None, ...]
    bins: Bins


class Look(NamedTuple):
    """What the admin page said at `at_s` (seconds of any steady clock)."""

    at_s: float
    counters: Mapping[str, int]
    latencies: Mapping[str, Latency]


class Side(NamedTuple):
    """Numbers over some span of time. `rate` is in requests a second, `errors` a share of 1."""

    rate: float | None
    errors: float | None
    percentiles: tuple[float | None, ...]


class Row(NamedTuple):
    """A route, or an endpoint of the route's cluster."""

    route: str
    endpoint: str
    recent: Side
    total: Side
    bins: Bins


NOTHING = Latency((None,) * len(PERCENTILES), (None,) * len(PERCENTILES), ())


def read(body: str | bytes, at_s: float) -> Look:
    """A look, from the JSON of /stats. Raises ValueError, KeyError if it is something else."""
    counters: dict[str, int] = {}
    latencies: dict[str, Latency] = {}
    for item in json.loads(body)["stats"]:
        if "histograms" in item:
            shown = item["histograms"]
            places = [shown["supported_percentiles"].index(p) for p in PERCENTILES]
            latencies |= {one["name"]: _latency(one, places) for one in shown["details"]}
        else:
            counters[item["name"]] = item["value"]
    return Look(at_s, counters, latencies)


def _latency(one: Mapping[str, Any], places: Sequence[int]) -> Latency:
    values = one["percentiles"]
    return Latency(
        tuple(values[place]["interval"] for place in places) if values else NOTHING.recent,
        tuple(values[place]["cumulative"] for place in places) if values else NOTHING.total,
        tuple((bin_["lower_bound"], bin_["width"], bin_["count"]) for bin_ in one["totals"]),
    )


def rows(
    routes: Sequence[Route], ports: Mapping[str, int], first: Look, before: Look, now: Look
) -> list[Row]:
    """Each route, followed by its endpoints.

    `first` was before all traffic, `before` some time before `now`.
    """
    table = []
    for route in routes:
        # Every route has a cluster of its own, whose counters include the requests that no
        # endpoint answered properly.
        prefix = f"cluster.{route.name}."
        counted = (f"{prefix}upstream_rq_completed", f"{prefix}upstream_rq_5xx")
        timed = f"vhost.demo.route.{route.name}.upstream_rq_time"
        table.append(_row(route.name, "", counted, timed, (first, before, now)))
        for origin in route.origins:
            at = f"{prefix}endpoint.127.0.0.1_{ports[origin]}."
            counted = (f"{at}rq_total", f"{at}rq_error")
            timed = f"{at}upstream_rq_time"
            shown = f"{origin} {ports[origin]}"
            table.append(_row(route.name, shown, counted, timed, (first, before, now)))
    return table


def _row(
    route: str, endpoint: str, counted: tuple[str, str], timed: str, looks: tuple[Look, Look, Look]
) -> Row:
    first, before, now = looks
    latency = now.latencies.get(timed, NOTHING)
    recent = _side(counted, before, now, latency.recent)
    total = _side(counted, first, now, latency.total)
    return Row(route, endpoint, recent, total, latency.bins)


def _side(
    counted: tuple[str, str], before: Look, now: Look, percentiles: tuple[float | None, ...]
) -> Side:
    total, bad = (now.counters.get(name, 0) - before.counters.get(name, 0) for name in counted)
    span = now.at_s - before.at_s
    rate = total / span if span > 0 else None
    return Side(rate, bad / total if total > 0 else None, percentiles)
