"""gRPC through the proxy, with grpcio at both ends: HTTP/2 in, HTTP/2 out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.e2e.grpc_service import MIB, OPTIONS, Service, serving_grpc
from tests.e2e.http2 import before_http2, http2
from tests.e2e.proxies import Proxy, bootstrap, cluster, listener, manager, proxy


@contextmanager
def dialled(running: Proxy) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel("{}:{}".format(*running.address()), options=OPTIONS) as channel:
        yield channel


@pytest.fixture
def called(tmp_path: Path) -> Iterator[tuple[grpc.Channel, Service, Proxy]]:
    with (
        serving_grpc() as (port, service),
        before_http2(tmp_path, port) as running,
        dialled(running) as channel,
    ):
        yield channel, service, running


Called = tuple[grpc.Channel, Service, Proxy]


def test_unary_calls_with_metadata(called: Called) -> None:
    channel, _, running = called
    metadata = (("asked", "yes"), ("raw-bin", bytes(range(256))))
    echo = channel.unary_unary("/test/echo")
    answer, call = echo.with_call(b"hello", metadata=metadata, timeout=20)
    assert answer == b"hello"
    assert dict(call.initial_metadata())["seen"] == "yes"
    assert dict(call.trailing_metadata())["raw-bin"] == bytes(range(256))
    assert running.stat("cluster.origin.upstream_cx_http2_total") == 1


@pytest.mark.parametrize("size", [0, 1, 65_536, 8 * MIB])
def test_messages_of_any_size(called: Called, size: int) -> None:
    message = b"x" * size
    assert called[0].unary_unary("/test/echo")(message, timeout=30) == message


def test_streams(called: Called) -> None:
    channel = called[0]
    numbers = list(channel.unary_stream("/test/count")(b"1000", timeout=30))
    assert numbers == [b"%d" % n for n in range(1000)]
    assert channel.stream_unary("/test/sum")(iter([b"1"] * 1000), timeout=30) == b"1000"
    words = [b"a" * 1000, b"b", b"c" * 100_000]
    spoken = channel.stream_stream("/test/chat")(iter(words), timeout=30)
    assert list(spoken) == [word.upper() for word in words]


def test_a_status_and_its_message_come_back(called: Called) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        called[0].unary_unary("/test/fail")(b"", timeout=20)
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "not tödäy: 100%"


def test_a_deadline_reaches_the_server(called: Called) -> None:
    channel, service, running = called
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test/hang")(b"", timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(20)
    running.wait_idle()
    running.wait_stat("http.ingress.downstream_rq_active", 0)


def test_a_cancelled_call_reaches_the_server(called: Called) -> None:
    channel, service, running = called
    call = channel.unary_unary("/test/hang").future(b"", timeout=30)
    running.wait_stat("cluster.origin.upstream_rq_active", 1)
    call.cancel()
    assert service.cancelled.wait(20)
    running.wait_idle()
    # The connection outlives the call.
    assert channel.unary_unary("/test/echo")(b"on", timeout=20) == b"on"
    assert running.stat("cluster.origin.upstream_cx_total") == 1


def test_many_calls_at_once(called: Called) -> None:
    channel, _, running = called
    echo = channel.unary_unary("/test/echo")
    calls = [echo.future(b"%d" % n, timeout=30) for n in range(300)]
    assert [call.result() for call in calls] == [b"%d" % n for n in range(300)]
    assert running.stat("cluster.origin.upstream_cx_total") == 1
    running.wait_stat("http2.streams_active", 0)


def test_local_replies_are_a_grpc_status(tmp_path: Path) -> None:
    routes = [{"match": {"prefix": "/nobody"}, "route": {"cluster": "empty"}}]
    empty = cluster(name="empty", typed_extension_protocol_options=http2())
    with proxy(tmp_path, bootstrap([listener(manager(routes))], [empty])) as running:
        for method, code in {
            "/nowhere/x": grpc.StatusCode.UNIMPLEMENTED,
            "/nobody/x": grpc.StatusCode.UNAVAILABLE,
        }.items():
            with dialled(running) as channel, pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary(method)(b"", timeout=20)
            assert failed.value.code() == code


def test_calls_beyond_a_new_connections_streams_open_more(tmp_path: Path) -> None:
    with serving_grpc() as (port, service):
        options = http2(max_concurrent_streams=1)
        origin = cluster(port, typed_extension_protocol_options=options)
        with (
            proxy(tmp_path, bootstrap([listener(manager())], [origin])) as running,
            dialled(running) as channel,
        ):
            hang = channel.unary_unary("/test/hang")
            calls = [hang.future(b"", timeout=60) for _ in range(4)]
            running.wait_stat("cluster.origin.upstream_cx_http2_total", 4)
            assert running.stat("cluster.origin.upstream_cx_overflow") == 0
            service.cancelled.set()
            assert [call.result() for call in calls] == [b""] * 4
