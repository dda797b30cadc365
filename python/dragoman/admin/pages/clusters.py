"""/clusters: every cluster, its limits and its endpoints, as text or JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from dragoman.admin.answer import Answer, RefusalError, json_answer
from dragoman.admin.face import Cluster, Host, Proxy
from dragoman.admin.pages.addresses import to_json
from dragoman.admin.query import Query

_COUNTERS = ("cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout", "rq_total")
_GAUGES = ("cx_active", "rq_active", "rq_pending_active")
_LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")

#: Health flag (as in the text) -> field of envoy.admin.v3.HostHealthStatus.
_HEALTH = {
    "failed_active_hc": "failed_active_health_check",
    "failed_outlier_check": "failed_outlier_check",
    "degraded_active_hc": "failed_active_degraded_check",
    "pending_dynamic_removal": "pending_dynamic_removal",
    "pending_active_hc": "pending_active_hc",
    "excluded_via_immediate_hc_fail": "excluded_via_immediate_hc_fail",
    "active_hc_timeout": "active_hc_timeout",
}
_EDS_HEALTH = {"failed_eds_health": "UNHEALTHY", "degraded_eds_health": "DEGRADED"}


def clusters(proxy: Proxy, query: Query) -> Answer:
    """Clusters whose name the parameter `filter` matches."""
    try:
        pattern = query.pattern("filter")
    except RefusalError:
        raise RefusalError(400, "Invalid re2 regex") from None
    chosen = [c for c in proxy.engine.clusters() if pattern is None or pattern.search(c.name)]
    if query.get("format") == "json":
        return json_answer({"cluster_statuses": [_status(c) for c in chosen]} if chosen else {})
    return Answer("".join(f"{line}\n" for cluster in chosen for line in _lines(cluster)))


def _lines(cluster: Cluster) -> Iterator[str]:
    name = cluster.name
    yield f"{name}::observability_name::{cluster.observability_name}"
    for priority in ("default", "high"):
        limits = cluster.circuit_breakers.get(priority, {})
        for limit in _LIMITS:
            if limit in limits:
                yield f"{name}::{priority}_priority::{limit}::{limits[limit]}"
    yield f"{name}::added_via_api::{_word(cluster.added_via_api)}"
    for host in cluster.hosts:
        for field, value in _fields(host):
            yield f"{name}::{host.address}::{field}::{value}"


def _fields(host: Host) -> Iterator[tuple[str, object]]:
    for stat in sorted(_COUNTERS + _GAUGES):
        yield stat, host.stats.get(stat, 0)
    yield "hostname", host.hostname
    yield "health_flags", host.health_flags
    yield "weight", host.weight
    yield "region", host.region
    yield "zone", host.zone
    yield "sub_zone", host.sub_zone
    yield "canary", "false"
    yield "priority", host.priority
    # -1: too few requests, or no outlier detection by success rate.
    yield "success_rate", "-1"
    yield "local_origin_success_rate", "-1"


def _word(value: bool) -> str:
    return "true" if value else "false"


def _status(cluster: Cluster) -> dict[str, Any]:
    """envoy.admin.v3.ClusterStatus; default values are left out, as protobuf's JSON does."""
    return _present(
        {
            "name": cluster.name,
            "added_via_api": cluster.added_via_api,
            "host_statuses": [_host(host) for host in cluster.hosts],
            "circuit_breakers": {"thresholds": _thresholds(cluster)},
            "observability_name": cluster.observability_name,
        }
    )


def _thresholds(cluster: Cluster) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for priority in ("default", "high"):
        limits = cluster.circuit_breakers.get(priority, {})
        row: dict[str, Any] = {"priority": "HIGH"} if priority == "high" else {}
        rows.append(row | {limit: limits[limit] for limit in _LIMITS if limit in limits})
    return rows


def _host(host: Host) -> dict[str, Any]:
    locality = {"region": host.region, "zone": host.zone, "sub_zone": host.sub_zone}
    status = _present(
        {
            "address": to_json(host.address),
            "stats": [_stat(name, host, gauge=False) for name in _COUNTERS]
            + [_stat(name, host, gauge=True) for name in _GAUGES],
            "health_status": _health(host.health_flags),
            "weight": host.weight,
            "hostname": host.hostname,
            "priority": host.priority,
        }
    )
    return status | {"locality": _present(locality)}


def _stat(name: str, host: Host, *, gauge: bool) -> dict[str, str]:
    value = host.stats.get(name, 0)
    return {
        **({"type": "GAUGE"} if gauge else {}),
        **({"value": str(value)} if value else {}),
        "name": name,
    }


def _health(flags: str) -> dict[str, Any]:
    names: Sequence[str] = [] if flags == "healthy" else flags.strip("/").split("/")
    status: dict[str, Any] = {_HEALTH[name]: True for name in names if name in _HEALTH}
    eds = [_EDS_HEALTH[name] for name in names if name in _EDS_HEALTH]
    return status | {"eds_health_status": eds[0] if eds else "HEALTHY"}


def _present(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value not in ("", 0, False, [])}
