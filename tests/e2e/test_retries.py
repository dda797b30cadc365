"""Failed requests that are tried again: what the differential cases can't show."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST, SETTINGS, frames
from tests.e2e.frames import frame as make_frame
from tests.e2e.grpc_service import OPTIONS, serving_grpc
from tests.e2e.http2 import http2
from tests.e2e.proxies import Proxy, bootstrap, cluster, file_log, listener, logged, manager, proxy
from tests.e2e.wire import OK, Server, Wire, connect, serving

ACKNOWLEDGED = 1
#: :status: 200, from HPACK's static table
STATUS_200 = b"\x88"
REFUSED_STREAM = b"\0\0\0\x07"
#: "come back in five seconds"
BUSY = b"HTTP/1.1 503 Busy\r\nretry-after: 5\r\ncontent-length: 4\r\n\r\nbusy"
ASKED = {"rate_limited_retry_back_off": {"reset_headers": [{"name": "retry-after"}]}}


@contextmanager
def retrying(
    folder: Path, port: int, policy: dict[str, Any], route: dict[str, Any] | None = None,
    **fields: Any,
) -> Iterator[Proxy]:  # fmt: skip
    """A proxy whose one route has this retry policy; `fields` are the cluster's."""
    action = {"cluster": "origin", "retry_policy": policy, **(route or {})}
    hcm = manager([{"match": {"prefix": "/"}, "route": action}])
    hcm["access_log"] = [file_log(folder / "access", Proxy.LOG)]
    with proxy(folder, bootstrap([listener(hcm)], [cluster(port, **fields)])) as running:
        yield running


class Http2Host:
    """Refuses its first stream, or answers it with a gRPC status, and serves the next."""

    def __init__(self) -> None:
        self.heads = 0
        self.bodies: dict[int, bytes] = {}

    def serve(self, wire: Wire) -> None:
        assert wire.until(PREFACE) is not None
        wire.send(make_frame(SETTINGS) + make_frame(SETTINGS, ACKNOWLEDGED))
        while wire.fill():
            for kind, flags, stream in frames(bytes(wire.data)):
                length = int.from_bytes(wire.data[:3])
                payload = wire.take(9 + length)[9:]
                if kind == HEADERS:
                    self.heads += 1
                    if self.heads == 1:
                        wire.send(make_frame(RST, 0, stream, REFUSED_STREAM))
                elif kind == DATA:
                    self.bodies[stream] = self.bodies.get(stream, b"") + payload
                if kind in (HEADERS, DATA) and flags & END_STREAM and stream > 1:
                    head = make_frame(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
                    wire.send(head)


@pytest.mark.parametrize("condition", ["refused-stream", "reset", "5xx"])
def test_a_refused_stream_is_tried_again_on_the_same_connection(
    tmp_path: Path, condition: str
) -> None:
    host = Http2Host()
    options = http2()
    with (
        serving(host.serve) as origin,
        retrying(
            tmp_path, origin.port, {"retry_on": condition}, typed_extension_protocol_options=options
        ) as running,
    ):
        client = running.connect()
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        assert client.response().status == 200
        assert host.heads == 2
        assert host.bodies[3] == b"hello"
        assert running.stat("cluster.origin.upstream_cx_total") == 1
        assert running.stat("cluster.origin.upstream_rq_retry_success") == 1


def test_a_refused_stream_is_an_answer_without_its_condition(tmp_path: Path) -> None:
    host = Http2Host()
    with (
        serving(host.serve) as origin,
        retrying(
            tmp_path, origin.port, {"retry_on": "connect-failure"},
            typed_extension_protocol_options=http2(),
        ) as running,
    ):  # fmt: skip
        assert running.connect().get("/").status == 503
        assert host.heads == 1
        assert "remote_refused_stream_reset" in logged(tmp_path, running, 1)[0]


@pytest.mark.parametrize("retries", [1, 2])
def test_calls_that_a_server_could_not_serve_yet(tmp_path: Path, retries: int) -> None:
    """grpcio at both ends; its server says UNAVAILABLE in a head without a message."""
    policy = {"retry_on": "unavailable", "num_retries": retries}
    with (
        serving_grpc() as (port, service),
        retrying(tmp_path, port, policy, typed_extension_protocol_options=http2()) as running,
        grpc.insecure_channel("{}:{}".format(*running.address()), options=OPTIONS) as channel,
    ):
        call = channel.unary_unary("/test/flaky")
        if retries == 2:
            assert call(b"hello", timeout=20) == b"hello"
        else:
            with pytest.raises(grpc.RpcError) as failure:
                call(b"hello", timeout=20)
            assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert service.tried == 1 + retries
        assert running.stat("cluster.origin.upstream_rq_retry") == retries
        over = "upstream_rq_retry_success" if retries == 2 else "upstream_rq_retry_limit_exceeded"
        assert running.stat(f"cluster.origin.{over}") == 1


class Busy:
    """Always says BUSY."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, wire: Wire) -> None:
        while wire.message():
            self.asked += 1
            wire.send(BUSY)


@contextmanager
def busy() -> Iterator[tuple[Busy, Server]]:
    host = Busy()
    with serving(host) as origin:
        yield host, origin


def test_a_client_that_leaves_during_a_pause_asks_no_host_again(tmp_path: Path) -> None:
    with (
        busy() as (host, origin),
        retrying(tmp_path, origin.port, {"retry_on": "5xx", **ASKED}) as running,
    ):
        client = running.connect()
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        running.wait_stat("cluster.origin.upstream_rq_retry_backoff_ratelimited", 1)
        assert running.stat("cluster.origin.upstream_rq_active") == 0
        client.close()
        assert " DC downstream_remote_disconnect" in logged(tmp_path, running, 1)[0]
        assert host.asked == 1
        # The breaker's place is free again.
        running.wait_stat("cluster.origin.circuit_breakers.default.rq_retry_open", 0)


def test_a_pause_ends_with_the_requests_time(tmp_path: Path) -> None:
    with (
        busy() as (host, origin),
        retrying(
            tmp_path, origin.port, {"retry_on": "5xx", **ASKED}, {"timeout": "0.2s"}
        ) as running,
    ):
        answer = running.connect().get("/")
        assert (answer.status, answer.body) == (504, b"upstream request timeout")
        assert logged(tmp_path, running, 1)[0].startswith("504 UT response_timeout")
        assert host.asked == 1


def test_only_so_many_are_tried_again_at_a_time(tmp_path: Path) -> None:
    breakers = {"thresholds": [{"max_retries": 3}]}
    policy = {"retry_on": "5xx", **ASKED}
    with (
        busy() as (host, origin),
        retrying(
            tmp_path, origin.port, policy, {"timeout": "1s"}, circuit_breakers=breakers
        ) as running,
    ):

        def ask(_: int) -> int:
            with connect(running.address()) as wire:
                return wire.get("/").status

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(20)))
        assert sorted(answers) == [503] * 17 + [504] * 3
        assert running.stat("cluster.origin.upstream_rq_retry") == 3
        assert running.stat("cluster.origin.upstream_rq_retry_overflow") == 17
        assert host.asked == 20
        running.wait_idle()


def test_the_short_body_of_a_failure_costs_no_connection(tmp_path: Path) -> None:
    answers = [BUSY.replace(b"retry-after: 5\r\n", b""), OK]

    def serve(wire: Wire) -> None:
        while wire.message():
            wire.send(answers.pop(0))

    with (
        serving(serve) as origin,
        retrying(tmp_path, origin.port, {"retry_on": "5xx"}) as running,
    ):
        assert running.connect().get("/").body == b"ok"
        assert running.stat("cluster.origin.upstream_cx_total") == 1


def test_a_long_body_of_a_failure_is_not_waited_for(tmp_path: Path) -> None:
    def serve(wire: Wire) -> None:
        first = len(origin.wires) == 1
        while wire.message():
            wire.send(b"HTTP/1.1 503 No\r\ncontent-length: 999\r\n\r\nhalf" if first else OK)

    with (
        serving(serve) as origin,
        retrying(tmp_path, origin.port, {"retry_on": "5xx"}) as running,
    ):
        assert running.connect().get("/").body == b"ok"
        assert running.stat("cluster.origin.upstream_cx_total") == 2
        running.wait_stat("cluster.origin.upstream_cx_active", 1)
