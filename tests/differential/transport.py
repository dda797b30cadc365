"""Short forms of TLS, of filter chains and of TCP proxies, written out as Envoy's configuration.

`tls:` (of the listener, a chain or a cluster) names certificates of files/tls; `chains:` lists
filter chains that share the base's connection manager; `tcp:` puts a TCP proxy there.
Must not know of processes or sockets.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import yaml

TYPES = "type.googleapis.com/envoy.extensions"
CONTEXTS = {
    "downstream": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
    "upstream": f"{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
}
LISTENER_FILTERS = {
    "proxy_protocol": "ProxyProtocol",
    "original_dst": "OriginalDst",
    "tls_inspector": "TlsInspector",
}
NETWORK_FILTERS = {
    "connection_limit": "ConnectionLimit",
    "direct_response": "Config",
    "echo": "Echo",
    "local_ratelimit": "LocalRateLimit",
    "rbac": "RBAC",
    "sni_cluster": "SniCluster",
}
PLAIN = ("echo", "direct_response")
BASES = Path(__file__).resolve().parent / "bases"


@functools.cache
def _tcp_base() -> dict[str, Any]:
    base: dict[str, Any] = yaml.safe_load((BASES / "tcp.yaml").read_text("utf-8"))
    return base


def write_log(into: dict[str, Any], wanted: Any) -> None:
    """Puts a case's `access_log` (a text format, a FileAccessLog, a list) into a filter's."""
    if wanted is None:
        return
    if isinstance(wanted, list):
        into["access_log"] = wanted
        return
    logger = into["access_log"][0]["typed_config"]
    del logger["log_format"]
    if isinstance(wanted, str):
        logger["log_format"] = {"text_format_source": {"inline_string": wanted}}
    else:
        logger.update(wanted)


def _tcp(wanted: Any) -> dict[str, Any]:
    """`tcp:` as fields of TcpProxy: a text is its cluster, and none is `origin`."""
    fields = {"cluster": wanted} if isinstance(wanted, str) else dict(wanted)
    return fields if "weighted_clusters" in fields else {"cluster": "origin", **fields}


def tcp_clusters(config: dict[str, Any]) -> set[str]:
    """The clusters that the TCP proxies of a case go to."""
    places = [config, *config.get("chains", []), config.get("default_chain") or {}]
    names = set()
    for fields in (_tcp(place["tcp"]) for place in places if "tcp" in place):
        weighted = fields.get("weighted_clusters", {}).get("clusters", [])
        names |= {cluster["name"] for cluster in weighted} or {fields["cluster"]}
    return names


def _tcp_filter(wanted: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The filter that `tcp:` stands for."""
    made = copy.deepcopy(_tcp_base())
    write_log(made["typed_config"], config.get("access_log"))
    made["typed_config"].update(_tcp(wanted))
    return made


def _source(file: str, inline: bool) -> dict[str, str]:
    """A DataSource for a file of files/tls."""
    return (
        {"inline_string": f"{{{{text:{file}}}}}"} if inline else {"filename": f"{{{{tls}}}}/{file}"}
    )


def tls_socket(side: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """The transport socket that a short `tls:` stands for; `side` is downstream or upstream.

    What has no short form lies in the context itself, or under `common` in its common part.
    """
    rest = dict(wanted)
    inline = rest.pop("inline", False)
    common: dict[str, Any] = {}
    if names := rest.pop("certificates", []):
        common["tls_certificates"] = [
            {
                "certificate_chain": _source(f"{name}.pem", inline),
                "private_key": _source(f"{name}.key", inline),
            }
            for name in names
        ]
    validation = rest.pop("validation", {})
    if ca := rest.pop("ca", ""):
        validation = {"trusted_ca": _source(f"{ca}.pem", inline), **validation}
    if validation:
        common["validation_context"] = validation
    if alpn := rest.pop("alpn", []):
        common["alpn_protocols"] = alpn
    if versions := rest.pop("versions", []):
        names = [f"TLSv{version}".replace(".", "_") for version in versions]
        common["tls_params"] = {
            "tls_minimum_protocol_version": names[0],
            "tls_maximum_protocol_version": names[-1],
        }
    common |= rest.pop("common", {})
    context = {"@type": CONTEXTS[side], "common_tls_context": common, **rest}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def proxy_socket(config: dict[str, Any], inner: dict[str, Any] | None) -> dict[str, Any]:
    """The transport socket that `tells_client:` of a cluster stands for: a PROXY header first."""
    raw = f"{TYPES}.transport_sockets.raw_buffer.v3.RawBuffer"
    plain = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {"@type": raw}}
    kind = f"{TYPES}.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
    typed = {"@type": kind, "config": config, "transport_socket": inner or plain}
    return {"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": typed}


def _chain(base: dict[str, Any], wanted: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """A filter chain: `match`, `tls`, `hcm`, `routes` or a fixed `answer`; the rest as it is.

    With `tcp` it has a TCP proxy instead of the connection manager.
    """
    rest = dict(wanted)
    chain = copy.deepcopy(base)
    hcm = chain["filters"][0]["typed_config"]
    routes = rest.pop("routes", None)
    if answer := rest.pop("answer", ""):
        direct = {"status": 200, "body": {"inline_string": answer}}
        routes = [{"match": {"prefix": "/"}, "direct_response": direct}]
    if routes:
        hcm["route_config"]["virtual_hosts"][0]["routes"] = routes
    hcm.update(rest.pop("hcm", {}))
    if "tcp" in rest:
        chain["filters"] = [_tcp_filter(rest.pop("tcp"), config)]
    if "match" in rest:
        chain["filter_chain_match"] = rest.pop("match")
    if "tls" in rest:
        chain["transport_socket"] = tls_socket("downstream", rest.pop("tls"))
    return chain | rest


def dress(listener: dict[str, Any], config: dict[str, Any]) -> None:
    """Gives the listener what a case says of `tcp`, `tls`, chains and listener filters."""
    base = listener["filter_chains"][0]
    if "tcp" in config:
        base["filters"] = [_tcp_filter(config["tcp"], config)]
    if "tls" in config:
        base["transport_socket"] = tls_socket("downstream", config["tls"])
    if "chains" in config:
        listener["filter_chains"] = [_chain(base, chain, config) for chain in config["chains"]]
    if "default_chain" in config:
        listener["default_filter_chain"] = _chain(base, config["default_chain"], config)
    filters = [_listener_filter(name, config[name]) for name in LISTENER_FILTERS if name in config]
    if filters:
        listener["listener_filters"] = filters
    if "network_filters" in config:
        _put_network_filters(listener, config["network_filters"])


def _named(item: Any) -> tuple[str, dict[str, Any]]:
    """A filter of `network_filters:`, its short name alone or with fields."""
    return (item, {}) if isinstance(item, str) else next(iter(item.items()))


def ends_in_plain(wanted: list[Any]) -> bool:
    """Whether `network_filters:` ends in one that serves connections itself."""
    return bool(wanted) and _named(wanted[-1])[0] in PLAIN


def _put_network_filters(listener: dict[str, Any], wanted: list[Any]) -> None:
    """Puts `network_filters:` before every chain's own; `echo` and the like stand for those."""
    made = []
    for item in wanted:
        name, fields = _named(item)
        kind = f"{TYPES}.filters.network.{name}.v3.{NETWORK_FILTERS[name]}"
        typed = {"@type": kind, **fields}
        made.append({"name": f"envoy.filters.network.{name}", "typed_config": typed})
    for chain in listener["filter_chains"]:
        own = [] if ends_in_plain(wanted) else chain["filters"]
        chain["filters"] = copy.deepcopy(made) + own


def _listener_filter(name: str, wanted: Any) -> dict[str, Any]:
    """`true`, or the fields of its configuration."""
    kind = f"{TYPES}.filters.listener.{name}.v3.{LISTENER_FILTERS[name]}"
    fields = wanted if isinstance(wanted, dict) else {}
    return {
        "name": f"envoy.filters.listener.{name}",
        "typed_config": {"@type": kind, **fields},
    }
