"""Envoy, and the configuration that Envoy and Dragoman are both started with.

It has on what Envoy has on by default: routing, counters and histograms, request ids, forwarded
headers, an admin port.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from bench.peers.peer import Peer, found, version_of
from bench.site import Place, Site

TYPES = "type.googleapis.com/envoy.extensions"


def socket_address(port: int) -> dict[str, Any]:
    """An address of 127.0.0.1."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def virtual_hosts(site: Site) -> list[dict[str, Any]]:
    """A virtual host per host name, or one with a route per prefix."""
    target = {"cluster": "origin"}
    if site.hosts:
        everything = [{"match": {"prefix": "/"}, "route": target}]
        return [
            {"name": name, "domains": [name], "routes": everything} for name in site.host_names()
        ]
    routes = [{"match": {"prefix": prefix}, "route": target} for prefix in site.prefixes() or ["/"]]
    return [{"name": "bench", "domains": ["*"], "routes": routes}]


def connection_manager(site: Site, place: Place) -> dict[str, Any]:
    """The HTTP connection manager: an edge proxy's, with everything else at its default."""
    manager: dict[str, Any] = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "use_remote_address": True,
        "route_config": {"name": "bench", "virtual_hosts": virtual_hosts(site)},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    if site.access_log:
        file = {
            "@type": f"{TYPES}.access_loggers.file.v3.FileAccessLog",
            "path": str(place.access_log),
        }
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": file}]
    return manager


def tcp_proxy() -> dict[str, Any]:
    """The TCP proxy, with everything at its default."""
    kind = f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"
    return {"@type": kind, "stat_prefix": "bench", "cluster": "origin"}


def transport_socket(place: Place) -> dict[str, Any]:
    """TLS with the bench's certificate and everything else at its default."""
    file = {"filename": str(place.certificate)}
    common = {
        "tls_certificates": [{"certificate_chain": file, "private_key": file}],
        "alpn_protocols": ["h2", "http/1.1"],
    }
    kind = f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": kind, "common_tls_context": common},
    }


def http2_upstream() -> dict[str, Any]:
    """HTTP/2 by prior knowledge."""
    kind = f"{TYPES}.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": kind, "explicit_http_config": {"http2_protocol_options": {}}}
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def bootstrap(site: Site, place: Place) -> dict[str, Any]:
    """Envoy's whole configuration for a site."""
    if site.tcp:
        name, config = "tcp_proxy", tcp_proxy()
    else:
        name, config = "http_connection_manager", connection_manager(site, place)
    network = {"name": f"envoy.filters.network.{name}", "typed_config": config}
    chain: dict[str, Any] = {"filters": [network]}
    if site.tls:
        chain["transport_socket"] = transport_socket(place)
    extras = {"typed_extension_protocol_options": http2_upstream()} if site.grpc else {}
    endpoint = {"endpoint": {"address": socket_address(place.origin)}}
    return {
        "admin": {"address": socket_address(place.admin)},
        "static_resources": {
            "listeners": [
                {
                    "name": "bench",
                    "address": socket_address(place.listen),
                    "filter_chains": [chain],
                }
            ],
            "clusters": [
                {
                    "name": "origin",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": "origin",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                    **extras,
                }
            ],
        },
    }


def yaml_lines(value: dict[str, Any] | list[Any], indent: str = "") -> list[str]:
    """`value` as block YAML, one item a line, as people write it; scalars as JSON."""
    lines: list[str] = []
    pairs = value.items() if isinstance(value, dict) else [(None, item) for item in value]
    for key, item in pairs:
        lead = f"{indent}- " if key is None else f"{indent}{json.dumps(key)}:"
        if not isinstance(item, dict | list) or not item:
            lines.append(f"{lead.rstrip()} {json.dumps(item)}")
            continue
        inner = yaml_lines(item, f"{indent}  ")
        if key is None:
            lines += [lead + inner[0].lstrip(), *inner[1:]]
        else:
            lines += [lead, *inner]
    return lines


def write_config(site: Site, place: Place) -> Path:
    """Writes the configuration of Envoy and of Dragoman."""
    path = place.folder / "envoy.yaml"
    path.write_text("\n".join(yaml_lines(bootstrap(site, place))) + "\n")
    return path


class Envoy(Peer):
    """One worker thread; its main thread does what a main thread does."""

    name = "envoy"
    title = "Envoy"

    def program(self) -> Path | None:
        given = os.environ.get("ENVOY_BIN")
        if given:
            return Path(given)
        package = importlib.util.find_spec("envoy")
        for folder in (package and package.submodule_search_locations) or []:
            packaged = Path(folder) / "_bin" / "envoy"
            if packaged.exists():
                return packaged
        return found("envoy")

    def version(self) -> str:
        return version_of(self.program(), "--version")

    def command(self, site: Site, place: Place) -> list[str]:
        path = write_config(site, place)
        options = ["--concurrency", str(site.workers), "--disable-hot-restart", "-l", "error"]
        return [str(self.program()), "-c", str(path), *options]
