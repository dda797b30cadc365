"""WebSocket through the proxy, with a real library at both ends, and tunnels that end abruptly."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.e2e.proxies import Config, Proxy, bootstrap, cluster, listener, manager, proxy

MIB = 1 << 20
UPGRADES = [{"upgrade_type": "websocket"}]
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2 = {
    OPTIONS: {
        "@type": f"type.googleapis.com/{OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def echo(connection: ServerConnection) -> None:
    """Sends each message back; "close N" ends the connection with that code."""
    for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            connection.close(int(message.removeprefix("close ")), "as you wish")
            return
        connection.send(message)


@contextmanager
def echoing() -> Iterator[int]:
    """The port of a WebSocket server."""
    with serve(echo, "127.0.0.1", 0, max_size=4 * MIB) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()
        thread.join()


def one_hop(port: int) -> Config:
    return bootstrap([listener(manager(upgrade_configs=UPGRADES))], [cluster(port)])


def two_hops(folder: Path, port: int) -> Config:
    """HTTP/1 to HTTP/2 and back: between the hops it's an extended CONNECT."""
    hop = str(folder / "hop")
    to_hop = [{"match": {"prefix": "/"}, "route": {"cluster": "hop"}}]
    takes_connect = {"http2_protocol_options": {"allow_connect": True}, "stat_prefix": "hop"}
    return bootstrap(
        [
            listener(manager(to_hop, upgrade_configs=UPGRADES)),
            listener(manager(upgrade_configs=UPGRADES, **takes_connect), hop, "hop"),
        ],
        [cluster(port), cluster(hop, name="hop", typed_extension_protocol_options=HTTP2)],
    )


@contextmanager
def before(folder: Path, port: int, hops: int = 1) -> Iterator[Proxy]:
    """A proxy that lets WebSocket through to this port."""
    config = one_hop(port) if hops == 1 else two_hops(folder, port)
    with proxy(folder, config) as running:
        yield running


@pytest.fixture(params=[1, 2], ids=["HTTP/1", "over HTTP/2"])
def proxied(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with echoing() as port, before(tmp_path, port, request.param) as running:
        yield running


def opened(running: Proxy) -> ClientConnection:
    host, port = running.address()
    return connect(f"ws://{host}:{port}/chat", max_size=4 * MIB)


@pytest.mark.parametrize("message", ["", "hällo", b"\0" * 125, b"x" * 126, b"y" * (2 * MIB)])
def test_messages_come_back_whole(proxied: Proxy, message: str | bytes) -> None:
    with opened(proxied) as client:
        client.send(message)
        assert client.recv() == message


def test_fragments_pings_and_subprotocols_pass(proxied: Proxy) -> None:
    with opened(proxied) as client:
        client.send([b"a" * 70_000, b"b" * 70_000, b"c"])
        assert client.recv() == b"a" * 70_000 + b"b" * 70_000 + b"c"
        assert client.ping(b"are you there").wait(5)


def test_the_hosts_close_code_reaches_the_client(proxied: Proxy) -> None:
    with opened(proxied) as client:
        client.send("close 4321")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")


def test_many_tunnels_keep_their_messages_apart(proxied: Proxy) -> None:
    def talk(number: int) -> bool:
        with opened(proxied) as client:
            for turn in range(20):
                client.send(f"{number}: {turn}")
                if client.recv() != f"{number}: {turn}":
                    return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(talk, range(60)))
    proxied.wait(lambda: proxied.stat("http.ingress.downstream_cx_upgrades_active") == 0)
    assert proxied.stat("http.ingress.downstream_cx_upgrades_total") == 60


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("end", ["client", "host"])
def test_what_an_abruptly_closing_side_sent_is_delivered(
    tmp_path: Path, end: str, hops: int
) -> None:
    body = bytes(range(256)) * 32_768
    with (
        socket.create_server(("127.0.0.1", 0)) as host,
        before(tmp_path, host.getsockname()[1], hops) as running,
    ):
        client = running.connect().socket
        head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        client.sendall(head)
        taken, _ = host.accept()
        assert taken.recv(65_536).startswith(b"GET / ")
        answer = b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        taken.sendall(answer)
        assert client.recv(65_536).startswith(b"HTTP/1.1 101 ")
        speaker, hearer = (client, taken) if end == "client" else (taken, client)
        # More than the sockets hold: the speaker is gone before the hearer has read it all.
        sender = threading.Thread(target=lambda: (speaker.sendall(body), speaker.close()))
        sender.start()
        heard = hashlib.sha256()
        while piece := hearer.recv(65_536):
            heard.update(piece)
        sender.join()
        hearer.close()
    assert heard.digest() == hashlib.sha256(body).digest()
