"""Bodies of any size through TLS on both sides, slow readers, both ends misbehaving at random."""

import ssl
import threading
from pathlib import Path

import pytest

from tests.e2e.test_traffic_bodies import (
    LONG,
    MIB,
    READERS,
    body,
    digest,
    downloads,
    kernel_queue,
    send,
    uploads,
    wait_for_stall,
)
from tests.e2e.test_traffic_chaos import CLIENTS, REQUESTS, Client, open_now, serve
from tests.e2e.tls import both_versions, client, connect_tls, edge, serving_tls, upstream
from tests.e2e.wire import Head, Wire

SIZE = 20 * MIB
SENT = digest(body(SIZE))
#: a record's greatest plaintext
RECORD = 16_384
OUTWARDS = {"transport_socket": upstream()}


@both_versions
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_long_download(tmp_path: Path, version: str, framing: str) -> None:
    serve = serving_tls(downloads(framing, SIZE))
    with (
        edge(tmp_path, serve=serve, cluster_fields=OUTWARDS) as running,
        connect_tls(running.address(), client(version)) as wire,
    ):
        before = running.rss()
        for _ in range(2):
            wire.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
            head = wire.head()
            assert isinstance(head, Head)
            assert digest(wire.body(head)) == SENT
        assert running.rss() - before < 16 * MIB
        running.wait_idle()


@both_versions
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_long_upload(tmp_path: Path, version: str, framing: str) -> None:
    with (
        edge(tmp_path, serve=serving_tls(uploads), cluster_fields=OUTWARDS) as running,
        connect_tls(running.address(), client(version)) as wire,
    ):
        before = running.rss()
        for _ in range(2):
            send(wire, b"POST / HTTP/1.1\r\nhost: a.example\r\n", framing, SIZE)
            assert wire.response().body.decode() == SENT
        assert running.rss() - before < 16 * MIB
        assert running.stat("cluster.origin.upstream_cx_total") == 1
        running.wait_idle()


@both_versions
def test_sizes_around_the_records(tmp_path: Path, version: str) -> None:
    with (
        edge(tmp_path, serve=serving_tls(uploads), cluster_fields=OUTWARDS) as running,
        connect_tls(running.address(), client(version)) as wire,
    ):
        for around in (1, RECORD // 2, RECORD, 2 * RECORD, 4 * RECORD):
            for size in (around - 1, around, around + 1):
                expected = digest(body(size))
                for framing in ("length", "chunked"):
                    send(wire, b"POST / HTTP/1.1\r\nhost: a.example\r\n", framing, size)
                    assert wire.response().body.decode() == expected


def test_slow_clients_do_not_fill_the_proxy(tmp_path: Path) -> None:
    origins: list[Wire] = []

    def serve(wire: Wire) -> None:
        origins.append(wire)
        downloads("length", LONG)(wire)

    with edge(tmp_path, serve=serving_tls(serve), cluster_fields=OUTWARDS) as running:
        before = running.rss()
        clients = [connect_tls(running.address()) for _ in range(READERS)]
        for wire in clients:
            wire.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        running.wait_stat("cluster.origin.upstream_rq_active", READERS)
        wait_for_stall(running, lambda: sum(map(kernel_queue, origins)))
        assert running.rss() - before < 60 * MIB
        for wire in clients[:2]:
            head = wire.head()
            assert head is not None
            assert digest(wire.body(head)) == digest(body(LONG))
        for wire in clients:
            wire.close()
        running.wait_idle()
        running.wait_stat("http.ingress.downstream_cx_active", 0)


def test_slow_origins_do_not_fill_the_proxy(tmp_path: Path) -> None:
    heads, go_on = threading.Semaphore(0), threading.Event()

    def read_late(wire: Wire) -> None:
        head = wire.head()
        assert head is not None
        heads.release()
        assert go_on.wait(60)
        found = digest(wire.body(head)).encode()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(found), found))

    def upload(wire: Wire) -> None:
        send(wire, b"POST / HTTP/1.1\r\nhost: a.example\r\n", "length", LONG)

    with edge(tmp_path, serve=serving_tls(read_late), cluster_fields=OUTWARDS) as running:
        before = running.rss()
        clients = [connect_tls(running.address()) for _ in range(5)]
        senders = [threading.Thread(target=upload, args=(wire,)) for wire in clients]
        for sender in senders:
            sender.start()
        for _ in senders:
            assert heads.acquire(timeout=20)
        wait_for_stall(running, lambda: sum(map(kernel_queue, clients)))
        assert running.rss() - before < 30 * MIB
        go_on.set()
        for sender, wire in zip(senders, clients, strict=True):
            sender.join()
            assert wire.response().body.decode() == digest(body(LONG))
            wire.close()
        running.wait_idle()


class Secured(Client):
    """Chaos through TLS: what is cut is an error of TLS; any other error is a fault."""

    def run(self) -> None:
        try:
            left = REQUESTS
            while left:
                context = client("1.2" if left % 2 else "1.3")
                with connect_tls(self.running.address(), context) as wire:
                    left = self.use(wire, left)
        except BaseException as fault:
            self.fault = fault

    def ask(self, wire: Wire, token: str) -> bool:
        try:
            return super().ask(wire, token)
        except ssl.SSLEOFError:
            return False


@pytest.mark.parametrize(("workers", "limit"), [(2, 1024), (1, 3)])
def test_chaos(tmp_path: Path, workers: int, limit: int) -> None:
    limits = {"thresholds": [{"max_connections": limit}]}
    fields = OUTWARDS | {"circuit_breakers": limits}
    with edge(
        tmp_path, serve=serving_tls(serve), cluster_fields=fields, workers=workers
    ) as running:
        clients = [Secured(running, number) for number in range(CLIENTS)]
        threads = [threading.Thread(target=each.run) for each in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for each in clients:
            if each.fault:
                raise each.fault
        assert sum(each.whole for each in clients) > CLIENTS * REQUESTS // 3
        running.wait_idle()
        for gauge in ("cx_active", "rq_active"):
            running.wait_stat(f"http.ingress.downstream_{gauge}", 0)
        total = running.stat("http.ingress.downstream_cx_total")
        running.wait_stat("http.ingress.downstream_cx_destroy", total)
        running.wait(lambda: running.stat("cluster.origin.upstream_cx_active") == open_now(running))
        assert "panic" not in running.log.read_text()


def test_answering_is_not_held_up_by_what_nobody_reads(tmp_path: Path) -> None:
    """An origin that answers before the body came, and doesn't read it."""

    def early(wire: Wire) -> None:
        assert wire.head()
        wire.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        wire.is_ended()

    serve = serving_tls(early)
    with (
        edge(tmp_path, serve=serve, cluster_fields=OUTWARDS) as running,
        connect_tls(running.address()) as wire,
    ):
        wire.send(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\n")
        answer = wire.response()
        assert (answer.status, answer.body) == (413, b"no")
