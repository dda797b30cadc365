"""Reads one case file and makes the bootstrap that both proxies get.

A case shows only what matters: fragments that are merged into `bases/http1.yaml` (mappings merge,
everything else replaces, null deletes). Must not know of processes or sockets.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .content import CaseError, CaseLoader
from .grpc import transcoder
from .raw import TALKS
from .script import check_step
from .tls import check_tls
from .transport import dress, ends_in_plain, proxy_socket, tcp_clusters, tls_socket, write_log

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"
KEYS = {
    "title", "why", "covers", "config", "origins", "tls", "script", "compare", "must", "differs",
}  # fmt: skip
CONFIG_KEYS = {
    "hcm", "route_config", "virtual_hosts", "routes", "cluster", "clusters", "listener",
    "router", "access_log", "bootstrap", "full", "tls", "chains", "default_chain", "tls_inspector",
    "tcp", "network_filters", "proxy_protocol", "original_dst", "listeners",
    "transcoder",
}  # fmt: skip
COMPARE_KEYS = {"stats", "admin", "admin_status", "mask", "skip"}
MUST_KEYS = {"statuses", "client_end", "origin_requests", "origin_lacks", "origin_has",
             "client_has", "client_lacks", "log_has", "refused"}  # fmt: skip
STAT_GROUPS = {
    "tcp": [
        "tcp.ingress.downstream_cx_*total", "tcp.ingress.downstream_cx_[!rt]*",
        "tcp.ingress.[!d]*",
        *(f"cluster.origin.upstream_cx_{name}" for name in (
            "total", "active", "destroy*", "connect_fail", "connect_timeout",
            "connect_attempts_exceeded", "none_healthy", "overflow", "?x_bytes_total",
        )),
    ],
}  # fmt: skip
TRAILERS = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
CLUSTER_TYPES = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass
class Case:
    """One case file. `name` is its path under cases/ without the suffix."""

    name: str
    path: Path
    title: str
    covers: list[str]
    script: list[dict[str, Any]]
    config: dict[str, Any] = field(default_factory=dict)
    compare: dict[str, Any] = field(default_factory=dict)
    must: dict[str, Any] = field(default_factory=dict)
    differs: str = ""
    origins: dict[str, Any] = field(default_factory=dict)
    tls: dict[str, Any] | None = None

    def origin_tls(self, name: str) -> dict[str, Any] | None:
        """How the origin of that name speaks TLS, if it does."""
        wanted: dict[str, Any] | None = self.origins.get(name, {}).get("tls")
        return wanted

    def talks(self, name: str) -> str:
        """What the origin of that name does with what it gets: an echo behind `tcp:`."""
        default = "echo" if name in tcp_clusters(self.config) else "http"
        wanted: str = self.origins.get(name, {}).get("talks", default)
        return wanted

    @property
    def stats(self) -> list[str]:
        """The patterns of statistics to compare, groups written out."""
        wanted = self.compare.get("stats", [])
        return [name for pattern in wanted for name in STAT_GROUPS.get(pattern, [pattern])]

    @property
    def raw(self) -> bool:
        """Whether clients speak no HTTP, unless a step says so."""
        chains = self.config.get("chains", [])
        if ends_in_plain(self.config.get("network_filters", [])):
            return True
        return "tcp" in self.config or (chains != [] and all("tcp" in chain for chain in chains))


@functools.cache
def all_cases() -> list[Case]:
    """Every case of the suite, by name. Raises CaseError with the file's path."""
    return [load(path) for path in sorted(CASES.rglob("*.yaml"))]


def load(path: Path) -> Case:
    """Reads and checks one case file. Raises CaseError."""
    path = path.resolve()
    try:
        data = yaml.load(path.read_text("utf-8"), CaseLoader)
        _check(data)
    except (yaml.YAMLError, CaseError) as error:
        raise CaseError(f"{path}: {error}") from error
    name = str(path.relative_to(CASES).with_suffix("")) if CASES in path.parents else path.stem
    return Case(
        name=name, path=path, title=data["title"], covers=data["covers"],
        script=data["script"], config=data.get("config") or {},
        compare=data.get("compare") or {}, must=data.get("must") or {},
        differs=data.get("differs") or "", origins=data.get("origins") or {},
        tls=data.get("tls"),
    )  # fmt: skip


def _check(data: Any) -> None:
    if not isinstance(data, dict):
        raise CaseError("a case is a mapping")
    missing = {"title", "covers", "script"} - set(data)
    if missing:
        raise CaseError(f"missing: {', '.join(sorted(missing))}")
    known = [
        (data, KEYS, "case"), (data.get("config") or {}, CONFIG_KEYS, "config"),
        (data.get("compare") or {}, COMPARE_KEYS, "compare"),
        (data.get("must") or {}, MUST_KEYS, "must"),
    ]  # fmt: skip
    for mapping, keys, where in known:
        unknown = set(mapping) - keys
        if unknown:
            raise CaseError(f"unknown in {where}: {', '.join(sorted(unknown))}")
    if "tls" in data:
        check_tls(data["tls"])
    for name, origin in (data.get("origins") or {}).items():
        if set(origin) - {"tls", "talks"} or origin.get("talks", "http") not in TALKS:
            raise CaseError(
                f"origin {name}: `tls` and `talks: {'|'.join(TALKS)}` can be said of it"
            )
        check_tls(origin.get("tls", False))
    for step in data["script"]:
        check_step(step)
    if data.get("differs") and not data.get("must"):
        raise CaseError("`differs` needs `must`: say what Dragoman gives instead")


def merge(into: Any, fragment: Any) -> Any:
    """`fragment` laid over `into`: mappings merge, null deletes, the rest replaces."""
    if not isinstance(into, dict) or not isinstance(fragment, dict):
        return copy.deepcopy(fragment)
    result = dict(into)
    for key, value in fragment.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result[key], value) if key in result else copy.deepcopy(value)
    return result


@functools.cache
def _base() -> dict[str, Any]:
    base: dict[str, Any] = yaml.safe_load((HERE / "bases" / "http1.yaml").read_text("utf-8"))
    return base


def bootstrap(case: Case) -> dict[str, Any]:
    """The case's whole bootstrap, with its {{placeholders}} still in place."""
    config = case.config
    if "full" in config:
        return dict(config["full"])
    base = copy.deepcopy(_base())
    static = base["static_resources"]
    listener = static["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]
    hcm = manager["typed_config"]
    _routes(hcm["route_config"], config)
    hcm["http_filters"][0]["typed_config"] = merge(
        hcm["http_filters"][0]["typed_config"], config.get("router", {})
    )
    if "transcoder" in config:
        hcm["http_filters"].insert(0, transcoder(config["transcoder"]))
        config = merge({"cluster": {"http_options": TRAILERS}}, config)
    write_log(hcm, config.get("access_log"))
    manager["typed_config"] = merge(hcm, config.get("hcm", {}))
    more = config.get("listeners", [])
    static["listeners"] = [_listener(listener, config)]
    static["listeners"] += [_listener(listener, config | own) for own in more]
    static["clusters"] = [_cluster(merge({"name": "origin"}, config.get("cluster", {})))]
    static["clusters"] += [_cluster(cluster) for cluster in config.get("clusters", [])]
    merged: dict[str, Any] = merge(base, config.get("bootstrap", {}))
    return merged


def _listener(base: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(base)
    dress(made, config)
    merged: dict[str, Any] = merge(made, config.get("listener", {}))
    return merged


def _routes(route_config: dict[str, Any], config: dict[str, Any]) -> None:
    if "routes" in config:
        route_config["virtual_hosts"][0]["routes"] = config["routes"]
    if "virtual_hosts" in config:
        route_config["virtual_hosts"] = config["virtual_hosts"]
    route_config.update(merge(route_config, config.get("route_config", {})))


def _cluster(wanted: Any) -> dict[str, Any]:
    """A static cluster of one endpoint: the origin of the same name, unless `port` is given."""
    wanted = {"name": wanted} if isinstance(wanted, str) else dict(wanted)
    port = wanted.pop("port", "{{port:" + wanted["name"] + "}}")
    if "tls" in wanted:
        wanted["transport_socket"] = tls_socket("upstream", wanted.pop("tls"))
    if "tells_client" in wanted:
        inner = wanted.get("transport_socket")
        wanted["transport_socket"] = proxy_socket(wanted.pop("tells_client"), inner)
    http = wanted.pop("http_options", None)
    if http is not None:
        options = {"@type": CLUSTER_TYPES, "explicit_http_config": {"http_protocol_options": {}}}
        name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        wanted["typed_extension_protocol_options"] = {name: merge(options, http)}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    base = {
        "name": wanted["name"],
        "type": "STATIC",
        "load_assignment": {"cluster_name": wanted["name"], "endpoints": endpoints},
    }
    if "cluster_type" in wanted:  # one of the two
        del base["type"]
    if wanted.get("type") == "ORIGINAL_DST":  # its connections bring their endpoints
        del base["load_assignment"]
    merged: dict[str, Any] = merge(base, wanted)
    return merged


def placeholders(value: Any) -> set[str]:
    """Names of all {{placeholders}} in a configuration."""
    if isinstance(value, dict):
        return set().union(*(placeholders(item) for item in value.values()), set())
    if isinstance(value, list):
        return set().union(*(placeholders(item) for item in value), set())
    names = set()
    rest = value if isinstance(value, str) else ""
    while "{{" in rest and "}}" in rest:
        name, _, rest = rest.partition("{{")[2].partition("}}")
        names.add(name)
    return names


def fill(value: Any, known: dict[str, Any]) -> Any:
    """The configuration with placeholders replaced; a lone one keeps its value's type."""
    if isinstance(value, dict):
        return {key: fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for name, replacement in known.items():
        mark = "{{" + name + "}}"
        if value == mark:
            return replacement
        value = value.replace(mark, str(replacement))
    return value
