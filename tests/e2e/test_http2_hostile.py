"""HTTP/2 clients that send what costs work and is of no use, and hosts that go away."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    RST,
    SETTINGS,
    WINDOW,
    frame,
)
from tests.e2e.http2 import two_hops
from tests.e2e.proxies import Proxy, bootstrap, cluster, file_log, listener, manager, proxy
from tests.e2e.wire import OK, Wire, answering, connect, serving

OPENED = PREFACE + frame(SETTINGS)


def ends_with(running: Proxy, sent: bytes) -> list[tuple[int, bytes]]:
    """The frames (kind, payload) that come until the proxy ends the connection."""
    wire = running.connect()
    # It may end while it is being told.
    with suppress(OSError):
        wire.send(OPENED + sent)
    with suppress(OSError):
        while wire.fill():
            pass
    got = bytes(wire.data)
    frames = []
    while len(got) >= 9:
        length = int.from_bytes(got[:3])
        frames.append((got[3], got[9 : 9 + length]))
        got = got[9 + length :]
    return frames


@contextmanager
def edge(folder: Path, **fields: object) -> Iterator[Proxy]:
    with (
        serving(answering()) as origin,
        proxy(folder, bootstrap([listener(manager(**fields))], [cluster(origin.port)])) as running,
    ):
        yield running


FLOODS = {
    "inbound_empty_frames_flood": frame(HEADERS, END_HEADERS, 1, POST) + frame(DATA, 0, 1) * 50,
    "inbound_priority_frames_flood": frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") * 300,
    # Nobody reads the answers: they wait until they are too many.
    "outbound_control_flood": frame(PING, 0, 0, b"eightyes") * 400_000,
    "inbound_window_update_frames_flood": frame(HEADERS, END_HEADERS, 1, POST)
    + frame(WINDOW, 0, 0, b"\0\0\0\x01") * 300,
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_end_the_connection_and_are_counted(tmp_path: Path, name: str) -> None:
    with edge(tmp_path) as running:
        ends_with(running, FLOODS[name])
        running.wait_stat(f"http2.{name}", 1)
        running.wait_stat("http.ingress.downstream_cx_protocol_error", 1)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        running.wait_stat("http.ingress.downstream_rq_active", 0)


def test_rapid_resets_have_a_limit(tmp_path: Path) -> None:
    """Streams that are opened and reset at once (CVE-2023-44487)."""
    pairs = b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, n, GET) + frame(RST, 0, n, b"\0\0\0\x08")
        for n in range(1, 10_001, 2)
    )
    with edge(tmp_path) as running:
        ends_with(running, pairs)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        running.wait_stat("http.ingress.downstream_rq_active", 0)
        running.wait_stat("http2.streams_active", 0)
        assert running.stat("http.ingress.downstream_rq_total") < 3000
        running.wait_idle()


def test_a_head_without_end_costs_no_memory(tmp_path: Path) -> None:
    """CONTINUATION frames that never end a head (CVE-2024-27316)."""
    endless = frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, 0, 1, b"\0\x01x\x7f\x00" * 100) * 5000
    with edge(tmp_path) as running:
        before = running.rss()
        frames = ends_with(running, endless)
        assert any(kind == GOAWAY for kind, _ in frames)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        assert running.rss() - before < 4 << 20


def test_a_head_that_unfolds_is_refused(tmp_path: Path) -> None:
    """One indexed byte a field of 4 KB: HPACK's bomb."""
    name = b"\x40\x01x\x7f\x81\x1e" + b"v" * 4000
    bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + name + b"\xbe" * 10_000)
    with edge(tmp_path) as running:
        before = running.rss()
        wire = running.connect()
        wire.send(OPENED + bomb)
        running.wait_stat("http.ingress.downstream_rq_4xx", 1)
        wire.close()
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        assert running.stat("cluster.origin.upstream_rq_total") == 0
        assert running.rss() - before < 4 << 20


def test_a_client_that_reads_nothing_holds_little(tmp_path: Path) -> None:
    """A window of nothing: what the host sends stays with the host."""
    big = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (8 << 20) + b"x" * (8 << 20)
    with (
        serving(answering(big)) as origin,
        proxy(tmp_path, bootstrap([listener(manager())], [cluster(origin.port)])) as running,
    ):
        before = running.rss()
        wire = running.connect()
        no_window = frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")
        asks = b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, GET) for n in range(1, 65, 2))
        wire.send(PREFACE + no_window + asks)
        running.wait_stat("cluster.origin.upstream_rq_active", 32)
        assert running.rss() - before < 32 << 20
        wire.close()
        running.wait_idle()
        running.wait_stat("http2.streams_active", 0)


def test_a_host_that_dies_ends_all_its_streams(tmp_path: Path) -> None:
    """Fifty requests share one connection when its host is killed."""
    config = two_hops(tmp_path, 1)
    # The second hop is a process of its own, to be killed; its origin never answers.
    silent = socket.create_server(("127.0.0.1", 0))
    front, back = config["static_resources"]["listeners"]
    clusters = config["static_resources"]["clusters"]
    hcm = front["filter_chains"][0]["filters"][0]["typed_config"]
    hcm["access_log"] = [file_log(tmp_path / "access", Proxy.LOG)]
    folder = tmp_path / "second"
    folder.mkdir()
    second = bootstrap([back], [cluster(silent.getsockname()[1])])
    hop = Proxy(folder, second)
    try:
        with proxy(tmp_path, bootstrap([front], clusters[1:])) as running:

            def ask(_: int) -> int:
                with connect(running.address()) as wire:
                    return wire.get("/").status

            with ThreadPoolExecutor(50) as pool:
                answers = pool.map(ask, range(50))
                running.wait_stat("cluster.hop.upstream_rq_active", 50)
                assert running.stat("cluster.hop.upstream_cx_total") == 1
                hop.process.kill()
                assert list(answers) == [503] * 50
            running.wait_idle("hop")
            running.wait_stat("cluster.hop.upstream_cx_active", 0)
            running.wait_stat("http.ingress.downstream_rq_active", 0)
    finally:
        hop.process.kill()
        hop.end()
        silent.close()


UNFINISHED = {
    "fields that go on": frame(HEADERS, 0, 1, GET),
    "a frame that isn't whole": frame(HEADERS, END_HEADERS, 1, GET + b"\x40" * 9)[:-9],
    "fields that drip": frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, 0, 1, b"\x82"),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_fields_that_do_not_come_whole_end_the_connection(tmp_path: Path, name: str) -> None:
    with edge(tmp_path, request_headers_timeout="0.3s") as running:
        ends_with(running, UNFINISHED[name])
        running.wait_stat("http.ingress.downstream_rq_header_timeout", 1)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        with running.connect() as client:
            client.send(OPENED + frame(HEADERS, END_HEADERS | END_STREAM, 1, GET))
            assert client.until(b"\x88") is not None  # :status: 200


def test_a_client_may_take_many_requests_back_at_once(tmp_path: Path) -> None:
    taken_back = b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, GET) + frame(RST, 0, stream, b"\0\0\0\x08")
        for stream in range(1, 401, 2)
    )
    with edge(tmp_path) as running, running.connect() as client:
        client.send(OPENED + taken_back + frame(HEADERS, END_HEADERS | END_STREAM, 401, GET))
        assert client.until(b"\x88") is not None  # :status: 200
        running.wait_stat("http2.rx_reset", 200)
        assert running.stat("http.ingress.downstream_cx_destroy") == 0


def test_small_answers_do_not_wait_for_a_slow_client(tmp_path: Path) -> None:
    """A client whose window is nothing holds none of its host's connections."""
    breakers = {"circuit_breakers": {"thresholds": [{"max_connections": 4}]}}
    with serving(answering()) as origin:
        config = bootstrap([listener(manager())], [cluster(origin.port, **breakers)])
        with proxy(tmp_path, config) as running:
            wire = running.connect()
            no_window = frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")
            asks = [frame(HEADERS, END_HEADERS | END_STREAM, n, GET) for n in range(1, 401, 2)]
            wire.send(PREFACE + no_window + b"".join(asks))
            running.wait_stat("http.ingress.downstream_rq_2xx", 200)
            running.wait_stat("cluster.origin.upstream_rq_active", 0)
            assert running.connect().get("/").status == 200
            # A window: all that was kept comes.
            wire.send(frame(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff"))
            assert wire.until(frame(DATA, END_STREAM, 399, b"ok")) is not None
            wire.close()
            running.wait_stat("http2.streams_active", 0)


def test_nothing_outlives_a_connection_that_ends_within_its_requests(tmp_path: Path) -> None:
    held = threading.Event()

    def late(wire: Wire) -> None:
        wire.message()
        held.wait(20)
        wire.send(OK)

    with serving(late) as origin:
        limits = {"max_connections": 10_000, "max_pending_requests": 10_000}
        breakers = {"circuit_breakers": {"thresholds": [limits]}}
        config = bootstrap([listener(manager())], [cluster(origin.port, **breakers)])
        with proxy(tmp_path, config) as running:
            asks = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)
            before = 0
            for round_ in range(8):
                wires = [running.connect() for _ in range(50)]
                for wire in wires:
                    wire.send(OPENED + asks)
                running.wait_stat("http.ingress.downstream_rq_active", 50)
                for wire in wires:
                    wire.close()
                running.wait_stat("http.ingress.downstream_rq_active", 0)
                if round_ == 1:
                    before = running.rss()
            held.set()
            assert running.rss() - before < 1 << 20


def test_streams_that_we_are_made_to_reset_have_a_limit(tmp_path: Path) -> None:
    """A body longer than its length makes us reset the stream: as if the client had."""
    length = b"\0\x0econtent-length\x011"
    asks = [
        frame(HEADERS, END_HEADERS, n, POST + length) + frame(DATA, END_STREAM, n, b"xx")
        for n in range(1, 6001, 2)
    ]
    options = {"max_outbound_control_frames": 10_000}
    with edge(tmp_path, http2_protocol_options=options) as running:
        assert ends_with(running, b"".join(asks))[-1][0] == GOAWAY
        running.wait_stat("http.ingress.downstream_rq_too_many_premature_resets", 1)
        running.wait_stat("http.ingress.downstream_rq_active", 0)
        assert running.stat("http.ingress.downstream_rq_total") < 3000
