"""tcp_proxy's bytes through CONNECT and over HTTP/2: two hops, and an origin behind the second."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http2 import http2
from tests.e2e.proxies import Config, Proxy, address, bootstrap, cluster, listener, manager, proxy
from tests.e2e.tls import downstream, trusting, upstream
from tests.e2e.wire import Wire, connect, serving

SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets"
HTTP_PROXY = f"{SOCKETS}.http_11_proxy.v3.Http11ProxyUpstreamTransport"
TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def tunnelling(method: str) -> Config:
    """A listener whose bytes go through a CONNECT or a POST to the cluster `hop`."""
    tunnel = {"hostname": "origin.example:1", "use_post": method == "POST"}
    typed = {"@type": TCP, "stat_prefix": "in", "cluster": "hop", "tunneling_config": tunnel}
    filters = [{"name": "envoy.filters.network.tcp_proxy", "typed_config": typed}]
    return listener({}, filter_chains=[{"filters": filters}])


def terminating(where: str, to: str = "behind") -> Config:
    """A listener that ends CONNECTs and POSTs, and passes what is in them on to a cluster."""
    upgrades = [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}]
    action = {"cluster": to, "upgrade_configs": upgrades}
    matches: list[Config] = [{"connect_matcher": {}}, {"prefix": "/"}]
    routes = [{"match": match, "route": action} for match in matches]
    options = {"allow_connect": True}
    return listener(
        manager(routes, stat_prefix="hop", http2_protocol_options=options), where, "hop"
    )


def echo(wire: Wire) -> None:
    """Sends back what comes, and its last bytes once more at the end."""
    last = b""
    while wire.fill():
        last = (last + bytes(wire.data))[-3:]
        wire.send(wire.take(len(wire.data)))
    wire.send(b"|" + last)


def rest(wire: Wire) -> bytes:
    """All that comes until the end."""
    while wire.fill():
        pass
    return bytes(wire.data)


def exactly(wire: Wire, count: int) -> bytes:
    while len(wire.data) < count and wire.fill():
        pass
    return wire.take(count)


@pytest.fixture(params=["CONNECT, http1", "CONNECT, http2", "POST, http1", "POST, http2"])
def tunnelled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    method, version = request.param.split(", ")
    hop = str(tmp_path / "hop")
    over = {"typed_extension_protocol_options": http2()} if version == "http2" else {}
    with serving(echo) as origin:
        config = bootstrap(
            [tunnelling(method), terminating(hop, "origin")],
            [cluster(origin.port), cluster(hop, name="hop", **over)],
        )
        with proxy(tmp_path, config) as running:
            yield running


def test_bytes_go_both_ways_and_each_side_ends_alone(tunnelled: Proxy) -> None:
    big = b"x" * 3_000_000 + b"end"
    with connect(tunnelled.address()) as client:
        sender = threading.Thread(target=lambda: (client.send(big), client.half_close()))
        sender.start()
        answer = rest(client)
        sender.join(30)
    assert answer == big + b"|end"
    tunnelled.wait_stat("cluster.hop.upstream_rq_active", 0)
    assert tunnelled.stat("tcp.in.downstream_cx_rx_bytes_total") == len(big)
    assert tunnelled.stat("tcp.in.downstream_cx_tx_bytes_total") == len(big) + 4


def test_tunnels_share_a_connection_of_http2(tunnelled: Proxy) -> None:
    with connect(tunnelled.address()) as one, connect(tunnelled.address()) as two:
        for word, client in ((b"one", one), (b"two", two), (b"three", one)):
            client.send(word)
            assert exactly(client, len(word)) == word
        over_http2 = tunnelled.stat("cluster.hop.upstream_cx_http2_total") > 0
        assert tunnelled.stat("cluster.hop.upstream_cx_total") == (1 if over_http2 else 2)
    tunnelled.wait_stat("cluster.hop.upstream_rq_active", 0)
    tunnelled.wait_stat("cluster.origin.upstream_cx_active", 0)


def test_hosts_of_tls_through_an_http_proxy(tmp_path: Path) -> None:
    hop = str(tmp_path / "hop")
    inner = upstream({"validation_context": trusting("ca", "b.example.com")}, sni="b.example.com")
    typed = {"@type": HTTP_PROXY, "default_proxy_address": address(hop), "transport_socket": inner}
    socket = {"name": "envoy.transport_sockets.http_11_proxy", "typed_config": typed}
    secured = listener(manager([{"match": {"prefix": "/"}, "direct_response": {"status": 418}}]))
    secured |= {"name": "secured", "address": address(0)}
    secured["filter_chains"][0]["transport_socket"] = downstream("b")
    (tmp_path / "behind").mkdir()
    with proxy(tmp_path / "behind", bootstrap([secured], [])) as behind:
        port = behind.address("secured")[1]
        config = bootstrap(
            [listener(manager()), terminating(hop)],
            [cluster(port, transport_socket=socket), cluster(port, name="behind")],
        )
        with proxy(tmp_path, config) as running, running.connect() as client:
            assert client.get().status == 418
            assert client.get().status == 418
            assert running.stat("cluster.behind.upstream_cx_total") == 1
            assert running.stat("cluster.origin.ssl.handshake") == 1
