"""Clients that want to exhaust the proxy: by waiting, by numbers, by size."""

import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import (
    Proxy,
    bootstrap,
    cluster,
    file_log,
    listener,
    logged,
    manager,
    proxy,
    simple,
)
from tests.e2e.running import DRAGOMAN
from tests.e2e.wire import GET, Wire, answering, serving

MIB = 1 << 20
TOO_LONG = 1 * MIB


@contextmanager
def before_origin(folder: Path, **hcm: Any) -> Iterator[Proxy]:
    """A proxy whose connection manager has these settings too, and an origin that answers `ok`."""
    with serving(answering()) as origin:
        log = [file_log(folder / "access", Proxy.LOG)]
        config = bootstrap([listener(manager(access_log=log, **hcm))], [cluster(origin.port)])
        with proxy(folder, config) as running:
            yield running


def drip(client: Wire, data: bytes, ended: threading.Event) -> None:
    """One byte after another, until the peer has enough."""
    for at in range(len(data)):
        if ended.wait(0.02):
            return
        try:
            client.send(data[at : at + 1])
        except OSError:
            return


def test_slowloris(tmp_path: Path) -> None:
    """Bytes that keep coming don't extend the time for the headers."""
    endless = b"GET / HTTP/1.1\r\nhost: a.example\r\n" + b"x-a: b\r\n" * 10_000
    ended = threading.Event()
    with before_origin(tmp_path, request_headers_timeout="0.5s") as running, ExitStack() as stack:
        stack.callback(ended.set)
        clients = [running.connect() for _ in range(20)]
        drips = [threading.Thread(target=drip, args=(c, endless, ended)) for c in clients]
        for dripping in drips:
            dripping.start()
            stack.callback(dripping.join)
        assert running.connect().get().status == 200
        for client in clients:
            assert client.response().status == 408
            assert client.is_ended()
        ended.set()
        assert running.stat("http.ingress.downstream_rq_header_timeout") == 20
        running.wait_stat("http.ingress.downstream_rq_active", 0)


def test_a_slow_body_is_ended_by_the_idle_timeout_only_when_it_stops(tmp_path: Path) -> None:
    """A body that moves is fine however slow; one that stops is ended."""
    with before_origin(tmp_path, stream_idle_timeout="1s") as running:
        client = running.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100\r\n\r\n")
        drip(client, b"x" * 100, threading.Event())
        assert client.response().status == 200
        client.send(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100\r\n\r\nx")
        assert client.response().status == 408
        running.wait_idle()


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"at most {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


IDLE = 10_000


def test_ten_thousand_idle_connections(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Memory is reported; its bound is generous, so that only a blow-up fails."""
    with many_descriptors(IDLE + 1000), before_origin(tmp_path) as running:
        assert running.connect().get().status == 200
        _, port = running.address()
        before = running.rss()
        with ExitStack() as stack:
            clients = [connection(stack, int(port), number) for number in range(IDLE)]
            running.wait_stat("http.ingress.downstream_cx_active", IDLE + 1)
            unused = (running.rss() - before) / IDLE
            for some in (clients[at : at + 500] for at in range(0, IDLE, 500)):
                for client in some:
                    client.sendall(GET)
                for client in some:
                    assert client.recv(4096).startswith(b"HTTP/1.1 200")
            used = (running.rss() - before) / IDLE
            record_property("bytes_per_unused_connection", unused)
            record_property("bytes_per_idle_connection", used)
            sys.stderr.write(f"bytes a connection: {unused:.0f} unused, {used:.0f} used\n")
            assert used < 16 << 10
            assert running.connect().get().status == 200
        running.wait_stat("http.ingress.downstream_cx_active", 2)


def connection(stack: ExitStack, port: int, number: int) -> socket.socket:
    """From one of several loopback addresses, so that ports don't run out."""
    source = (f"127.0.1.{1 + number % 4}", 0)
    sock = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=source)
    return stack.enter_context(sock)


FEW = 64


def test_more_connections_than_descriptors(tmp_path: Path) -> None:
    """It waits rather than spins, goes on serving whom it has, and accepts again later."""
    limited = ["sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", *DRAGOMAN]
    with serving(answering()) as origin:
        hcm = manager(access_log=[file_log(tmp_path / "access", Proxy.LOG)])
        config = bootstrap([listener(hcm)], [cluster(origin.port)])
        with proxy(tmp_path, config, limited) as running:
            first = running.connect()
            assert first.get().status == 200
            admin = running.process.pid
            clients = [running.connect() for _ in range(3 * FEW)]
            wait_for_descriptors(running, FEW)
            began = running.cpu_s()
            time.sleep(2)
            # Half of one CPU would be a spin with pauses.
            assert running.cpu_s() - began < 1
            assert first.get().status == 200
            for client in clients:
                client.close()
            wait_for_descriptors(running, FEW // 2, below=True)
            assert running.process.pid == admin
            assert [running.connect().get().status for _ in range(5)] == [200] * 5
            assert running.stat("listener.127.0.0.1_0.downstream_global_cx_overflow") > 0


def wait_for_descriptors(running: Proxy, count: int, *, below: bool = False) -> None:
    running.wait(
        lambda: (running.descriptors() <= count) if below else running.descriptors() >= count
    )


def test_no_descriptor_for_the_origin(tmp_path: Path) -> None:
    """A request that can't be connected is answered, and later ones are served."""
    limited = ["sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", *DRAGOMAN]
    with serving(answering()) as origin:
        hcm = manager(access_log=[file_log(tmp_path / "access", Proxy.LOG)])
        config = bootstrap([listener(hcm)], [cluster(origin.port)])
        with proxy(tmp_path, config, limited) as running:
            clients = [running.connect() for _ in range(FEW)]
            wait_for_descriptors(running, FEW)
            clients[0].send(GET)
            assert clients[0].response().status == 503
            assert logged(tmp_path, running, 1)[0].startswith("503 UF ")
            for client in clients[1:]:
                client.close()
            wait_for_descriptors(running, FEW // 2, below=True)
            assert clients[0].get().status == 200


PIPELINED = 10_000


@pytest.mark.parametrize("route", ["origin", "direct"])
def test_ten_thousand_pipelined_requests(tmp_path: Path, route: str) -> None:
    """All are answered; another connection is served meanwhile."""
    direct = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body("ok")}}
    routes = None if route == "origin" else [direct]
    with serving(answering()) as origin:
        config = bootstrap([listener(manager(routes))], [cluster(origin.port)])
        with proxy(tmp_path, config) as running:
            greedy, other = running.connect(), running.connect()
            sending = threading.Thread(target=greedy.send, args=(GET * PIPELINED,))
            sending.start()
            total = "http.ingress.downstream_rq_total"
            for _ in range(10):
                assert other.get().status == 200
            for _ in range(PIPELINED):
                assert greedy.response().body == b"ok"
            sending.join()
            assert running.stat(total) == PIPELINED + 10


def body(text: str) -> dict[str, str]:
    return {"inline_string": text}


def test_a_flood_that_nobody_reads(tmp_path: Path) -> None:
    """A client that sends requests and takes no answers is no longer read from."""
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n" + b"x" * 65_536
    with serving(answering(big)) as origin, simple(tmp_path, origin.port) as running:
        before = running.rss()
        deaf = running.connect()
        deaf.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(10_000):
                deaf.send(GET * 100)
        assert running.rss() - before < 16 * MIB
        assert running.connect().get().status == 200
        deaf.close()
        running.wait_idle()
        running.wait_stat("http.ingress.downstream_cx_active", 1)


def refused_with(client: Wire, data: bytes) -> int:
    """The status that answers `data`; it may come before all of it was sent."""

    def send() -> None:
        with suppress(OSError):
            client.send(data)

    sending = threading.Thread(target=send)
    sending.start()
    status = client.response().status
    client.close()
    sending.join()
    return status


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nhost: a.example\r\nx-a: " + b"b" * TOO_LONG,
        b"GET / HTTP/1.1\r\nhost: a.example\r\n" + b"b" * TOO_LONG,
        b"GET / HTTP/1.1\r\nhost: a.example\r\n" + b"x-a: b\r\n" * (TOO_LONG // 8),
    ],
    ids=["value", "name", "many"],
)
def test_a_megabyte_of_header(tmp_path: Path, data: bytes) -> None:
    with before_origin(tmp_path) as running:
        before = running.rss()
        for _ in range(20):
            assert refused_with(running.connect(), data) == 431
        assert running.rss() - before < 8 * MIB
        assert running.connect().get().status == 200


def test_connections_that_come_and_go(tmp_path: Path) -> None:
    """Neither memory nor descriptors stay behind."""
    with before_origin(tmp_path) as running:

        def round_of(count: int) -> None:
            for number in range(count):
                with running.connect() as client:
                    if number % 3:
                        client.send(GET[: number % len(GET)])
                    else:
                        assert client.get().status == 200
                running.clients.clear()

        round_of(500)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        memory, descriptors = running.rss(), running.descriptors()
        round_of(3000)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        running.wait(lambda: running.descriptors() <= descriptors + 2)
        assert running.rss() - memory < 4 * MIB
