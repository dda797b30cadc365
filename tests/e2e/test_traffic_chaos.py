"""Both ends misbehave at random moments, many at once. Whoever gets an answer gets their own, whole
or visibly cut, and in the end nothing is left behind.

The seeds are fixed, the interleaving isn't.
"""

import contextlib
import random
import socket
import struct
import threading
from pathlib import Path

import pytest

from tests.e2e.proxies import Proxy, simple
from tests.e2e.wire import Head, Wire, serving

CLIENTS = 12
REQUESTS = 120
HOWS = ["length", "chunked", "close", "cut", "cut-chunked", "reset", "nothing", "early", "slow"]
WEIGHTS = [30, 30, 5, 3, 3, 3, 3, 8, 3]


def reset(wire: Wire) -> None:
    """Ends the connection with a TCP reset."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def answer(wire: Wire, head: Head) -> bool:
    """Answers as the target `/TOKEN/HOW/SIZE` says; False: the connection is over."""
    _, token, how, size = head.target.split("/")
    if how == "nothing":
        return False
    if how != "early":
        sent = b"".join(wire.body(head))
        assert sent == fill(token, len(sent)), "another request's body"
    data = fill(token, int(size))
    chunked = how in ("chunked", "cut-chunked")
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
    framing = "connection: close" if how == "close" else framing
    wire.send(f"HTTP/1.1 200 OK\r\nx-token: {token}\r\n{framing}\r\n\r\n".encode())
    if how in ("cut", "cut-chunked", "reset"):
        half = data[: len(data) // 2]
        wire.send(b"%x\r\n%b" % (len(data), half) if chunked else half)
        if how == "reset":
            reset(wire)
        return False
    step = len(data) // 5 + 1 if how == "slow" else len(data) + 1
    for at in range(0, len(data), step):
        piece = data[at : at + step]
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        wire.send(b"0\r\n\r\n")
    if how == "early":
        b"".join(wire.body(head))
    return how != "close"


def serve(wire: Wire) -> None:
    while (head := wire.head()) and answer(wire, head):
        pass


def fill(token: str, size: int) -> bytes:
    """A body that only this request has."""
    mark = f"<{token}>".encode()
    return (mark * (size // len(mark) + 1))[:size]


class Client:
    """One client's requests, on as many connections as it takes."""

    def __init__(self, running: Proxy, number: int) -> None:
        self.running = running
        self.number = number
        self.random = random.Random(number)
        self.whole = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            left = REQUESTS
            while left:
                with self.running.connect() as wire:
                    left = self.use(wire, left)
        except BaseException as fault:
            self.fault = fault

    def use(self, wire: Wire, left: int) -> int:
        """Asks until the connection ends; gives what is left to ask."""
        while left:
            left -= 1
            with contextlib.suppress(ConnectionResetError, BrokenPipeError, EOFError):
                if self.ask(wire, f"{self.number}-{left}"):
                    continue
            return left
        return left

    def ask(self, wire: Wire, token: str) -> bool:
        """One request; False: the connection is over."""
        how = self.random.choices(HOWS, WEIGHTS)[0]
        size = self.random.choice([0, 1, 100, 5_000, 20_000, 300_000])
        body = fill(token, self.random.choice([0, 0, 10, 5_000, 200_000]))
        head = f"/{token}/{how}/{size} HTTP/1.1\r\nhost: a.example\r\n"
        if not body:
            data = f"GET {head}\r\n".encode()
        elif self.random.random() < 0.5:
            data = f"POST {head}content-length: {len(body)}\r\n\r\n".encode() + body
        else:
            chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            data = f"POST {head}transfer-encoding: chunked\r\n\r\n".encode() + chunk
        leaves = self.random.random()
        if leaves < 0.05:
            wire.send(data[: self.random.randrange(len(data))])
            return False
        wire.send(data)
        if leaves < 0.1:
            if leaves < 0.075:
                reset(wire)
            return False
        return self.read(wire, token, size, quits=leaves < 0.15)

    def read(self, wire: Wire, token: str, size: int, *, quits: bool) -> bool:
        head = wire.head()
        if head is None or quits:
            return False
        body = b"".join(wire.body(head))
        assert head.status in (200, 502, 503), head
        if head.status == 200:
            assert head.fields["x-token"] == token, "another request's answer"
            if "content-length" in head.fields or "transfer-encoding" in head.fields:
                assert body == fill(token, size)
                self.whole += 1
        return head.fields.get("connection") != "close"


@pytest.mark.parametrize(("workers", "limit"), [(2, 1024), (1, 3)])
def test_chaos(tmp_path: Path, workers: int, limit: int) -> None:
    limits = {"thresholds": [{"max_connections": limit}]}
    with (
        serving(serve) as origin,
        simple(tmp_path, origin.port, workers=workers, circuit_breakers=limits) as running,
    ):
        clients = [Client(running, number) for number in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for client in clients:
            if client.fault:
                raise client.fault
        assert sum(client.whole for client in clients) > CLIENTS * REQUESTS // 3
        running.wait_idle()
        for gauge in ("cx_active", "rq_active"):
            running.wait_stat(f"http.ingress.downstream_{gauge}", 0)
        # Every accepted connection was counted once at its beginning and once at its end.
        total = running.stat("http.ingress.downstream_cx_total")
        running.wait_stat("http.ingress.downstream_cx_destroy", total)
        running.wait(lambda: running.stat("cluster.origin.upstream_cx_active") == open_now(running))
        assert "panic" not in running.log.read_text()


def open_now(running: Proxy) -> int:
    """Upstream connections by the counters: opened less ended."""
    return running.stat("cluster.origin.upstream_cx_total") - running.stat(
        "cluster.origin.upstream_cx_destroy"
    )
