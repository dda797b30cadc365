"""Handshakes that are slow, endless, cut, broken or many: they cost nobody else anything."""

import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.process import parse_rollup
from tests.e2e.proxies import Proxy
from tests.e2e.tls import both_versions, client, connect_tls, edge, host_and_port, ssl_stat
from tests.e2e.wire import GET, PIECE, Wire, connect

CONNECTIONS = 500
TIMEOUT = "downstream_cx_transport_socket_connect_timeout"


class ByHand:
    """A client whose bytes the test carries to the wire."""

    def __init__(self, wire: Wire, version: str) -> None:
        self.wire = wire
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client(version).wrap_bio(
            self.incoming, self.outgoing, server_hostname="a.example.com"
        )

    def step(self) -> bool:
        """Does what can be done of the handshake; True when it is over."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self) -> None:
        data = self.wire.socket.recv(PIECE)
        assert data, "the connection ended"
        self.incoming.write(data)

    def handshake(self, carry: Callable[[bytes], None]) -> None:
        """The whole handshake, what it sends through `carry`."""
        while not self.step():
            carry(self.outgoing.read())
            self.receive()
        carry(self.outgoing.read())

    def get(self) -> bytes:
        """The answer to a GET; tickets may come before."""
        self.tls.write(GET)
        self.wire.send(self.outgoing.read())
        found = b""
        while not found.endswith(b"ok"):
            try:
                found += self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                self.receive()
        return found


@both_versions
def test_a_handshake_that_drips_holds_nobody_up(tmp_path: Path, version: str) -> None:
    with (
        edge(tmp_path) as running,
        connect(running.address()) as slow,
        connect_tls(running.address()) as quick,
    ):

        def drip(data: bytes) -> None:
            for number, byte in enumerate(data):
                slow.send(bytes([byte]))
                if number % 16 == 0:  # the other one is served between its bytes
                    assert quick.get().body == b"ok"

        dripping = ByHand(slow, version)
        dripping.handshake(drip)
        assert dripping.get().startswith(b"HTTP/1.1 200 OK")
        assert ssl_stat(running, "handshake") == 2
        assert ssl_stat(running, "connection_error") == 0


@both_versions
def test_a_request_that_comes_with_the_end_of_the_handshake(tmp_path: Path, version: str) -> None:
    with edge(tmp_path) as running, connect(running.address()) as wire:
        peer = ByHand(wire, version)
        while not peer.step():
            wire.send(peer.outgoing.read())
            peer.receive()
        # In TLS 1.3 the client's last flight is still here: it goes in one piece with the request.
        assert peer.get().startswith(b"HTTP/1.1 200 OK")


def test_handshakes_that_never_end(tmp_path: Path) -> None:
    fields = {"transport_socket_connect_timeout": "0.2s"}
    with edge(tmp_path, chain_fields=fields) as running:
        silent = [running.connect() for _ in range(20)]
        halfway = [running.connect() for _ in range(20)]
        for wire in halfway:
            peer = ByHand(wire, "1.3")
            assert not peer.step()
            wire.send(peer.outgoing.read())
        with connect_tls(running.address()) as quick:
            assert quick.get().body == b"ok"
            assert all(wire.is_ended() for wire in silent)
            for wire in halfway:
                while wire.fill():  # the server's part of the handshake
                    pass
            running.wait_stat(f"listener.edge.{TIMEOUT}", 40)
            # Whoever is through with it isn't meant.
            assert quick.get().body == b"ok"
        running.wait_stat("listener.edge.downstream_cx_active", 0)


@both_versions
def test_handshakes_cut_anywhere(tmp_path: Path, version: str) -> None:
    with edge(tmp_path) as running:
        sent = hello(running, version)
        for cut in range(0, len(sent), 7):
            with connect(running.address()) as wire:
                wire.send(sent[:cut])
                wire.half_close()
                with contextlib.suppress(ConnectionError):
                    while wire.fill():
                        pass
        running.wait_stat("listener.edge.downstream_cx_active", 0)
        assert ssl_stat(running, "handshake") == 0
        with connect_tls(running.address()) as quick:
            assert quick.get().body == b"ok"


class Enough(Exception):
    """The handshake needn't go on."""


@both_versions
@pytest.mark.parametrize("flight", [1, 2])
def test_handshakes_broken_anywhere(tmp_path: Path, version: str, flight: int) -> None:
    """Each byte that a client sends changed in turn: refused or not, the next one is served."""
    with edge(tmp_path) as running:
        at = length = 0
        while at <= length:
            with connect(running.address()) as wire:
                length = broken(wire, version, flight, at)
                wire.half_close()
                with contextlib.suppress(ConnectionError):
                    while wire.fill():
                        pass
            at += 1
        running.wait_stat("listener.edge.downstream_cx_active", 0)
        with connect_tls(running.address()) as quick:
            assert quick.get().body == b"ok"
        # Nothing of the second flight may be wrong but the minor version of two records, which
        # says nothing (RFC 8446 section 5.1).
        assert ssl_stat(running, "handshake") == (1 if flight == 1 else 3)


def broken(wire: Wire, version: str, flight: int, at: int) -> int:
    """Sends the byte at `at` of a client's flight wrong; the flight's length."""
    flights: list[bytes] = []

    def carry(data: bytes) -> None:
        flights.append(data)
        if len(flights) == flight:
            at_most = min(at, len(data) - 1)
            wire.send(data[:at_most] + bytes([data[at_most] ^ 0x55]) + data[at_most + 1 :])
            raise Enough
        wire.send(data)

    with contextlib.suppress(Enough):
        ByHand(wire, version).handshake(carry)
    return len(flights[-1]) - 1


def hello(running: Proxy, version: str) -> bytes:
    with connect(running.address()) as wire:
        peer = ByHand(wire, version)
        peer.step()
        return peer.outgoing.read()


@both_versions
@pytest.mark.parametrize(
    "when",
    [
        "before a request",
        "between requests",
        "within a request",
    ],
)
def test_a_broken_record_ends_the_connection(tmp_path: Path, version: str, when: str) -> None:
    with edge(tmp_path) as running, connect(running.address()) as wire:
        peer = ByHand(wire, version)
        peer.handshake(wire.send)
        if when != "before a request":
            peer.get()
        if when == "within a request":
            peer.tls.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
            wire.send(peer.outgoing.read())
            running.wait_stat("http.ingress.downstream_rq_active", 1)
        wire.send(b"\x17\x03\x03\x00\x40" + b"x" * 64)
        wire.socket.settimeout(2)
        with contextlib.suppress(ConnectionResetError):
            while wire.fill():  # tickets, and the alert
                pass


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_a_client_that_wants_to_renegotiate_is_told_no(tmp_path: Path) -> None:
    with edge(tmp_path) as running:
        host, port = host_and_port(running)
        command = ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as asking:
            assert asking.stdin is not None
            assert asking.stdout is not None
            try:
                while "Extended master secret" not in asking.stdout.readline():
                    assert asking.poll() is None
                asking.stdin.write("R\n")
                asking.stdin.flush()
                # OpenSSL gives up when it hears of it.
                asking.wait(2)
            finally:
                asking.kill()


def test_many_handshakes_at_once(tmp_path: Path) -> None:
    done: list[bytes] = []

    def shake(running: Proxy, number: int) -> None:
        context = client("1.2" if number % 2 else "1.3")
        for _ in range(25):
            with connect_tls(running.address(), context) as wire:
                done.append(wire.get().body)

    with edge(tmp_path, "a-ecdsa", "a-rsa", workers=2) as running:
        threads = [threading.Thread(target=shake, args=(running, n)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == [b"ok"] * 400
        assert ssl_stat(running, "handshake") == 400
        assert ssl_stat(running, "connection_error") == 0
        running.wait_stat("listener.edge.downstream_cx_active", 0)


@both_versions
def test_memory_of_idle_connections(
    tmp_path: Path, version: str, record_property: Callable[[str, object], None]
) -> None:
    """Told, not judged: bytes of anonymous memory of a connection that had a request answered."""
    context = client(version)
    with edge(tmp_path) as running, contextlib.ExitStack() as held:

        def hold(count: int) -> int:
            for _ in range(count):
                assert held.enter_context(connect_tls(running.address(), context)).get().body
            rollup = Path(f"/proc/{running.process.pid}/smaps_rollup").read_text()
            return parse_rollup(rollup).anonymous

        # The first ones let pools and heaps reach their working size.
        before = hold(100)
        growth = (hold(CONNECTIONS) - before) // CONNECTIONS
        record_property(f"bytes_per_idle_connection_{version}", growth)
        print(f"TLS {version}: {growth} bytes per idle connection")  # noqa: T201
        assert running.stat("listener.edge.downstream_cx_active") == CONNECTIONS + 100
