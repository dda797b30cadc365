"""/stats and /stats/prometheus."""

from dragoman.admin.answer import JSON, TEXT, Answer, RefusalError
from dragoman.admin.face import Proxy
from dragoman.admin.pages import stats_html
from dragoman.admin.query import Query
from dragoman.stats import json_format, prometheus, text
from dragoman.stats.model import Metric
from dragoman.stats.selection import TYPES, Selection

FORMATS = ("html", "active-html", "json", "prometheus", "text")


def stats(proxy: Proxy, query: Query) -> Answer:
    """Every metric as text, JSON, HTML or Prometheus exposition."""
    kind = query.get("type") or "All"
    if kind not in TYPES:
        raise RefusalError(400, "invalid &type= param")
    form = query.get("format") or "text"
    if form not in FORMATS:
        raise RefusalError(400, f"usage: /stats?format=({'|'.join(FORMATS)})\n\n")
    if form == "prometheus":
        return prometheus_page(proxy, query)
    buckets = _buckets(query) or "summary"
    selection = _selection(query, TYPES[kind])
    if form.endswith("html"):
        # Rendered first, so that a wrong parameter is an error here too.
        metrics = _chosen(proxy, selection)
        return stats_html.render(text.render(metrics, buckets), query, kind)
    if form == "json":
        return Answer(json_format.render(_chosen(proxy, selection), buckets), content_type=JSON)
    return Answer(text.render(_chosen(proxy, selection), buckets))


def prometheus_page(proxy: Proxy, query: Query) -> Answer:
    """Every metric as Prometheus exposition; `type` has no say here (as in Envoy)."""
    buckets = _buckets(query) or "cumulative"
    if buckets == "none":
        buckets = "cumulative"
    if buckets not in prometheus.BUCKET_MODES:
        raise RefusalError(400, "unsupported prometheus histogram bucket mode")
    body = prometheus.render(
        _chosen(proxy, _selection(query, None)),
        buckets,
        text_readouts="text_readouts" in query,
        fixed=proxy.stats_tags,
    )
    return Answer(body, content_type=TEXT)


def _buckets(query: Query) -> str | None:
    buckets = query.get("histogram_buckets")
    if buckets is not None and buckets not in text.BUCKET_MODES:
        usage = "cumulative|disjoint|detailed|summary"
        raise RefusalError(400, f"usage: /stats?histogram_buckets=({usage})\n")
    return buckets


def _selection(query: Query, kind: str | None) -> Selection:
    return Selection(
        pattern=query.pattern("filter"),
        invert="invert_filter" in query,
        used_only="usedonly" in query,
        kind=kind,
    )


def _chosen(proxy: Proxy, selection: Selection) -> list[Metric]:
    proxy.refresh_stats()
    return selection.apply(proxy.engine.stats())
