"""Endpoints as /config_dump?include_eds shows them: what each cluster uses now, by locality."""

from collections.abc import Sequence
from typing import Any

from dragoman.admin.face import Cluster, Host
from dragoman.admin.pages.addresses import to_json

_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def static_endpoint_configs(clusters: Sequence[Cluster]) -> list[dict[str, Any]]:
    """envoy.admin.v3.EndpointsConfigDump.StaticEndpointConfig of each cluster."""
    return [
        {
            "endpoint_config": {
                "@type": _TYPE,
                "cluster_name": cluster.name,
                "endpoints": _localities(cluster.hosts),
                "policy": {"overprovisioning_factor": 140},
            }
        }
        for cluster in clusters
    ]


def _localities(hosts: Sequence[Host]) -> list[dict[str, Any]]:
    groups: dict[tuple[int, str, str, str], list[Host]] = {}
    for host in hosts:
        key = (host.priority, host.region, host.zone, host.sub_zone)
        groups.setdefault(key, []).append(host)
    rows = []
    for (priority, region, zone, sub_zone), members in groups.items():
        names = {"region": region, "zone": zone, "sub_zone": sub_zone}
        row: dict[str, Any] = {
            "locality": {name: value for name, value in names.items() if value},
            "lb_endpoints": [_endpoint(host) for host in members],
        }
        if priority:
            row["priority"] = priority
        rows.append(row)
    return rows


def _endpoint(host: Host) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"address": to_json(host.address), "health_check_config": {}}
    if host.hostname:
        endpoint["hostname"] = host.hostname
    return {
        "endpoint": endpoint,
        "health_status": _health(host.health_flags),
        "metadata": {},
        "load_balancing_weight": host.weight,
    }


def _health(flags: str) -> str:
    if flags == "healthy":
        return "HEALTHY"
    return "DEGRADED" if "failed" not in flags and "degraded" in flags else "UNHEALTHY"
