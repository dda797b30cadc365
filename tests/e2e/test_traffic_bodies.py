"""Bodies of any size in every framing, and readers that are slower than writers."""

import fcntl
import hashlib
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.proxies import Proxy, simple
from tests.e2e.wire import OK, Head, Wire, serving

MIB = 1 << 20
SIZE = 64 * MIB
#: Every piece differs, so a piece lost, doubled or out of place changes the hash.
PIECES = [bytes([number]) * 65_521 for number in range(256)]


def body(size: int = SIZE) -> Iterator[bytes]:
    sent = number = 0
    while sent < size:
        piece = PIECES[number % 256][: size - sent]
        sent, number = sent + len(piece), number + 1
        yield piece


def digest(pieces: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


SENT = digest(body())


def send(wire: Wire, first: bytes, framing: str, size: int = SIZE) -> None:
    """A message with a body of `size` bytes. `first` is its head without the framing."""
    if framing == "length":
        wire.send(first + b"content-length: %d\r\n\r\n" % size)
    elif framing == "chunked":
        wire.send(first + b"transfer-encoding: chunked\r\n\r\n")
    else:
        wire.send(first + b"\r\n")
    for piece in body(size):
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
    if framing == "chunked":
        wire.send(b"0\r\n\r\n")


def downloads(framing: str, size: int = SIZE) -> Callable[[Wire], None]:
    """Answers every request with a long body."""

    def serve(wire: Wire) -> None:
        while wire.message():
            send(wire, b"HTTP/1.1 200 OK\r\n", framing, size)
            if framing == "close":
                return

    return serve


def uploads(wire: Wire) -> None:
    """Answers with the hash of what came."""
    while head := wire.head():
        found = digest(wire.body(head)).encode()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(found), found))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_long_download(tmp_path: Path, framing: str) -> None:
    with (
        serving(downloads(framing)) as origin,
        simple(tmp_path, origin.port) as running,
        running.connect() as client,
    ):
        before = running.rss()
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
            head = client.head()
            assert isinstance(head, Head)
            assert ("content-length" in head.fields) == (framing == "length")
            assert digest(client.body(head)) == SENT
        assert running.rss() - before < 16 * MIB
        running.wait_idle()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_long_upload(tmp_path: Path, framing: str) -> None:
    with (
        serving(uploads) as origin,
        simple(tmp_path, origin.port) as running,
        running.connect() as client,
    ):
        before = running.rss()
        for _ in range(2):
            send(client, b"POST / HTTP/1.1\r\nhost: a.example\r\n", framing)
            assert client.response().body.decode() == SENT
        assert running.rss() - before < 16 * MIB
        assert running.stat("cluster.origin.upstream_cx_total") == 1
        running.wait_idle()


def test_both_ways_at_once(tmp_path: Path) -> None:
    """The origin answers with what it receives, as it receives it."""

    def echo(wire: Wire) -> None:
        head = wire.head()
        assert head is not None
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
        for piece in wire.body(head):
            wire.send(piece)
        wire.is_ended()

    with (
        serving(echo) as origin,
        simple(tmp_path, origin.port) as running,
        running.connect() as client,
    ):
        request = (client, b"POST / HTTP/1.1\r\nhost: a.example\r\n", "length")
        sending = threading.Thread(target=send, args=request)
        sending.start()
        head = client.head()
        assert head is not None
        assert digest(client.body(head)) == SENT
        sending.join()


def test_sizes_around_the_buffers(tmp_path: Path) -> None:
    with serving(uploads) as up, simple(tmp_path, up.port) as running, running.connect() as client:
        for around in (1, 4096, 8192, 16_384, 32_768, 65_536, 131_072):
            for size in (around - 1, around, around + 1):
                expected = digest(body(size))
                for framing in ("length", "chunked"):
                    send(client, b"POST / HTTP/1.1\r\nhost: a.example\r\n", framing, size)
                    assert client.response().body.decode() == expected


READERS = 20
LONG = 50 * MIB
BOUND = 60 * MIB


def wait_for_stall(running: Proxy, progress: Callable[[], int]) -> None:
    """Waits until something moved, and then nothing for ten looks in a row."""
    seen = [0]

    def stalled() -> bool:
        seen.append(progress())
        return seen[-1] > 0 and seen[-10:] == [seen[-1]] * 10

    running.wait(stalled)


def test_slow_clients_do_not_fill_the_proxy(tmp_path: Path) -> None:
    with serving(downloads("length", LONG)) as origin, simple(tmp_path, origin.port) as running:
        before = running.rss()
        clients = [running.connect() for _ in range(READERS)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        running.wait_stat("cluster.origin.upstream_rq_active", READERS)
        wait_for_stall(running, lambda: sum(map(kernel_queue, origin.wires)))
        assert running.rss() - before < BOUND
        for client in clients[:2]:
            head = client.head()
            assert head is not None
            assert digest(client.body(head)) == digest(body(LONG))
        for client in clients:
            client.close()
        running.wait_idle()
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        # What was cut short is not used again; what was served to its end may be.
        running.wait(lambda: running.stat("cluster.origin.upstream_cx_active") <= 2)


def test_slow_origins_do_not_fill_the_proxy(tmp_path: Path) -> None:
    heads = threading.Semaphore(0)
    go_on = threading.Event()

    def read_late(wire: Wire) -> None:
        head = wire.head()
        assert head is not None
        heads.release()
        assert go_on.wait(60)
        digest(wire.body(head))
        wire.send(OK)

    def upload(client: Wire) -> None:
        send(client, b"POST / HTTP/1.1\r\nhost: a.example\r\n", "length", LONG)

    with serving(read_late) as origin, simple(tmp_path, origin.port) as running:
        before = running.rss()
        clients = [running.connect() for _ in range(READERS)]
        senders = [threading.Thread(target=upload, args=(client,)) for client in clients]
        for sender in senders:
            sender.start()
        for _ in senders:
            assert heads.acquire(timeout=20)
        wait_for_stall(running, lambda: sum(map(kernel_queue, clients)))
        assert running.rss() - before < BOUND
        go_on.set()
        for sender, client in zip(senders, clients, strict=True):
            sender.join()
            assert client.response().body == b"ok"
            client.close()
        running.wait_idle()


def kernel_queue(wire: Wire) -> int:
    """Bytes that the kernel holds for the peer."""
    return struct.unpack("i", fcntl.ioctl(wire.socket, termios.TIOCOUTQ, bytes(4)))[0]
