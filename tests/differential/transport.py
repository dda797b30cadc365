"""Short forms of TLS and of filter chains, written out as Envoy's configuration.

`tls:` (of the listener, a chain or a cluster) names certificates of files/tls; `chains:` lists
filter chains that share the base's connection manager. Must not know of processes or sockets.
"""

from __future__ import annotations

import copy
from typing import Any

TYPES = "type.googleapis.com/envoy.extensions"
CONTEXTS = {
    "downstream": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
    "upstream": f"{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
}
INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"{TYPES}.filters.listener.tls_inspector.v3.TlsInspector"},
}


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


def _chain(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A filter chain: `match`, `tls`, `hcm`, `routes` or a fixed `answer`; the rest as it is."""
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
    if "match" in rest:
        chain["filter_chain_match"] = rest.pop("match")
    if "tls" in rest:
        chain["transport_socket"] = tls_socket("downstream", rest.pop("tls"))
    return chain | rest


def dress(listener: dict[str, Any], config: dict[str, Any]) -> None:
    """Gives the listener what a case's `tls`, `chains`, `default_chain`, `tls_inspector` say."""
    base = listener["filter_chains"][0]
    if "tls" in config:
        base["transport_socket"] = tls_socket("downstream", config["tls"])
    if "chains" in config:
        listener["filter_chains"] = [_chain(base, chain) for chain in config["chains"]]
    if "default_chain" in config:
        listener["default_filter_chain"] = _chain(base, config["default_chain"])
    if config.get("tls_inspector"):
        listener["listener_filters"] = [INSPECTOR]
