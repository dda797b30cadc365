"""TLS for both ends of a proxy: Python's ssl around a Wire, and the parts of a configuration.

Certificates are told by the names of their files, which the differential tests use too.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import Config, Proxy, bootstrap, cluster, listener, manager, proxy
from tests.e2e.wire import Address, Wire, answering, connect, serving

FOLDER = Path(__file__).resolve().parents[1] / "differential" / "files" / "tls"
_TYPE = "type.googleapis.com/envoy.extensions"
#: what the tls_inspector needs no words for
INSPECTOR: Config = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"{_TYPE}.filters.listener.tls_inspector.v3.TlsInspector"},
}
both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def file(name: str) -> Config:
    """A DataSource of a file of the folder."""
    return {"filename": str(FOLDER / name)}


def certificate(name: str, key: str = "") -> Config:
    """A TlsCertificate; `key` names another one's key."""
    return {"certificate_chain": file(f"{name}.pem"), "private_key": file(f"{key or name}.key")}


def trusting(ca: str = "ca", *names: str) -> Config:
    """A validation context with a CA and DNS names."""
    matchers = [{"san_type": "DNS", "matcher": {"exact": name}} for name in names]
    context: Config = {"trusted_ca": file(f"{ca}.pem")}
    return context | ({"match_typed_subject_alt_names": matchers} if matchers else {})


def downstream(*names: str, common: Config | None = None, **fields: Any) -> Config:
    """A TransportSocket for clients with these certificates."""
    certificates = {"tls_certificates": [certificate(name) for name in names]} if names else {}
    return _socket("Downstream", certificates | (common or {}), fields)


def upstream(common: Config | None = None, **fields: Any) -> Config:
    """A TransportSocket for hosts."""
    return _socket("Upstream", common or {}, fields)


def chain(hcm: Config, socket: Config | None = None, **fields: Any) -> Config:
    """A filter chain with an HTTP connection manager."""
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]
    return {"filters": filters} | ({"transport_socket": socket} if socket else {}) | fields


def client(
    version: str = "", *, ca: str = "ca", own: str = "", alpn: list[str] | None = None
) -> ssl.SSLContext:
    """A client that checks the server by this CA, and shows its `own` certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Otherwise an end without close_notify could not be told from one with it.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.load_verify_locations(FOLDER / f"{ca}.pem")
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if own:
        context.load_cert_chain(FOLDER / f"{own}.pem", FOLDER / f"{own}.key")
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def secured(wire: Wire, context: ssl.SSLContext, name: str | None = "a.example.com") -> Wire:
    """The same connection after a client's handshake."""
    try:
        wire.socket = context.wrap_socket(wire.socket, server_hostname=name)
    except BaseException:
        wire.close()
        raise
    return wire


def connect_tls(
    where: Address | int, context: ssl.SSLContext | None = None, name: str = "a.example.com"
) -> Wire:
    """A connection after its handshake, the server's certificate checked."""
    return secured(connect(where), context or client(), name)


def tls_of(wire: Wire) -> ssl.SSLSocket:
    """The connection's TLS."""
    assert isinstance(wire.socket, ssl.SSLSocket)
    return wire.socket


def name_of(wire: Wire) -> str:
    """The common name of the certificate that the server showed."""
    subject = tls_of(wire).getpeercert() or {}
    pairs = dict(part for parts in subject["subject"] for part in parts)  # type: ignore[misc]
    return str(pairs["commonName"])


def serving_tls(
    serve: Callable[[Wire], None], name: str = "a-ecdsa", *, ca: str = "", version: str = ""
) -> Callable[[Wire], None]:
    """What `serve` does, behind a handshake with this certificate; with `ca` clients need one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / f"{name}.pem", FOLDER / f"{name}.key")
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(FOLDER / f"{ca}.pem")
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]

    def handshake(wire: Wire) -> None:
        wire.socket = context.wrap_socket(wire.socket, server_side=True)
        serve(wire)

    return handshake


@contextmanager
def edge(
    folder: Path,
    *names: str,
    serve: Callable[[Wire], None] | None = None,
    cluster_fields: Config | None = None,
    chain_fields: Config | None = None,
    workers: int = 1,
    **socket: Any,
) -> Iterator[Proxy]:
    """A proxy with these certificates before one origin; `socket`: its DownstreamTlsContext."""
    hcm = manager()
    tls = downstream(*(names or ("a-ecdsa",)), **socket)
    chains = [chain(hcm, tls, **(chain_fields or {}))]
    web = listener(hcm, filter_chains=chains, stat_prefix="edge")
    with serving(serve or answering()) as origin:
        config = bootstrap([web], [cluster(origin.port, **(cluster_fields or {}))])
        with proxy(folder, config, workers=workers) as running:
            yield running


def host_and_port(running: Proxy) -> tuple[str, int]:
    """Where `edge` listens."""
    where = running.address()
    assert isinstance(where, tuple)
    return where


def ssl_stat(running: Proxy, name: str) -> int:
    """A counter of the TLS of `edge`'s listener."""
    return running.stat(f"listener.edge.ssl.{name}")


def _socket(side: str, common: Config, fields: Config) -> Config:
    kind = f"{_TYPE}.transport_sockets.tls.v3.{side}TlsContext"
    config = {"@type": kind, "common_tls_context": common, **fields}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}
