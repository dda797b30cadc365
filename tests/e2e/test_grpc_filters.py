"""The filters of gRPC with a real server: what a browser sends, and what is counted."""

import base64
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.grpc_service import MIB, OPTIONS, serving_grpc
from tests.e2e.http2 import before_http2
from tests.e2e.proxies import Config, Proxy
from tests.e2e.wire import Message, Wire

_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
ROUTER: Config = {"name": "r", "typed_config": {"@type": f"{_TYPE}.router.v3.Router"}}
WEB: Config = {"name": "w", "typed_config": {"@type": f"{_TYPE}.grpc_web.v3.GrpcWeb"}}


def stats(**fields: Any) -> Config:
    return {"name": "s", "typed_config": {"@type": f"{_TYPE}.grpc_stats.v3.FilterConfig", **fields}}


@contextmanager
def behind(folder: Path, *filters: Config) -> Iterator[Proxy]:
    with (
        serving_grpc() as (port, _),
        before_http2(folder, port, http_filters=[*filters, ROUTER]) as running,
    ):
        yield running


def frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(flags, content) of each."""
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        yield flags, body[5 : 5 + length]
        body = body[5 + length :]


def call(wire: Wire, method: str, body: bytes, *, text: bool = False) -> Message:
    """A call as a browser makes it."""
    kind = b"application/grpc-web-text" if text else b"application/grpc-web"
    wire.send(
        b"POST /test/%b HTTP/1.1\r\nhost: a\r\ncontent-type: %b\r\naccept: %b\r\n"
        b"content-length: %d\r\n\r\n%b" % (method.encode(), kind, kind, len(body), body)
    )
    return wire.response()


@pytest.mark.parametrize("size", [0, 5, 100_000, 4 * MIB])
@pytest.mark.parametrize("text", [False, True])
def test_a_browser_calls_a_server(tmp_path: Path, size: int, text: bool) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    body = base64.b64encode(frame(message)) if text else frame(message)
    with behind(tmp_path, WEB) as running, running.connect() as wire:
        answer = call(wire, "echo", body, text=text)
        assert answer.status == 200
        raw = decoded(answer.body) if text else answer.body
        (flags, echoed), (last, trailers) = frames(raw)
        assert (flags, last) == (0, 0x80)
        assert echoed == message
        assert b"grpc-status:0\r\n" in trailers
        # The connection is good for another call.
        assert call(wire, "echo", body, text=text).status == 200


def decoded(text: bytes) -> bytes:
    """Texts of base64, one after the other, each padded."""
    found, rest = b"", text
    while rest:
        end = rest.find(b"=")
        end = len(rest) if end < 0 else (end // 4 + 1) * 4
        found += base64.b64decode(rest[:end], validate=True)
        rest = rest[end:]
    return found


def test_a_browser_is_streamed_to_and_told_of_failures(tmp_path: Path) -> None:
    with behind(tmp_path, WEB) as running, running.connect() as wire:
        *numbers, (last, trailers) = frames(call(wire, "count", frame(b"1000")).body)
        assert numbers == [(0, b"%d" % number) for number in range(1000)]
        assert (last, b"grpc-status:0\r\n" in trailers) == (0x80, True)
        failed = call(wire, "fail", frame(b""))
        told = failed.body or b"grpc-status:" + failed.fields["grpc-status"].encode() + b"\r\n"
        assert b"grpc-status:9\r\n" in told
        name = "cluster.origin.grpc-web.test"
        assert running.stat(f"{name}.count.success") == running.stat(f"{name}.fail.9") == 1


def test_calls_and_messages_are_counted_by_method(tmp_path: Path) -> None:
    with behind(tmp_path, stats(stats_for_all_methods=True)) as running:
        where = "{}:{}".format(*running.address())
        with grpc.insecure_channel(where, options=OPTIONS) as channel:
            assert len(list(channel.unary_stream("/a.Test/count")(b"300", timeout=30))) == 300
            big = b"x" * (2 * MIB)
            for _ in range(3):
                assert channel.unary_unary("/a.Test/echo")(big, timeout=30) == big
            with pytest.raises(grpc.RpcError):
                channel.unary_unary("/a.Test/fail")(b"", timeout=30)
        found = running.stats(r"^cluster\.origin\.grpc\.")
    assert found == {
        f"cluster.origin.grpc.a.Test.{name}": value
        for name, value in {
            "count.0": "1", "count.success": "1", "count.total": "1",
            "count.request_message_count": "1", "count.response_message_count": "300",
            "echo.0": "3", "echo.success": "3", "echo.total": "3",
            "echo.request_message_count": "3", "echo.response_message_count": "3",
            "fail.9": "1", "fail.failure": "1", "fail.total": "1",
            "fail.request_message_count": "1",
        }.items()
    }  # fmt: skip


def test_names_that_clients_make_up_are_bounded(tmp_path: Path) -> None:
    with behind(tmp_path, stats(stats_for_all_methods=True)) as running:
        with running.connect() as wire:
            for number in range(1100):
                wire.send(
                    b"POST /test/m%d HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
                    b"te: trailers\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0" % number
                )
                assert wire.response().status == 200
        assert len(running.stats(r"^cluster\.origin\.grpc\..*\.total$")) == 1000


@pytest.mark.parametrize("asked", [False, True])
def test_the_time_of_calls_is_kept_by_method(tmp_path: Path, asked: bool) -> None:
    counts = stats(stats_for_all_methods=True, enable_upstream_stats=asked)
    with (
        behind(tmp_path, counts) as running,
        grpc.insecure_channel("{}:{}".format(*running.address()), options=OPTIONS) as channel,
    ):
        for _ in range(3):
            channel.unary_unary("/test/echo")(b"hello", timeout=20)
        labels = (
            'envoy_grpc_bridge_method="echo",envoy_grpc_bridge_service="test",'
            'envoy_cluster_name="origin"'
        )

        def lines() -> list[str]:
            name = "envoy_cluster_grpc_upstream_rq_time_count"
            text = running.admin.get("/stats/prometheus").text
            return [line for line in text.splitlines() if line.startswith(name)]

        wanted = f"envoy_cluster_grpc_upstream_rq_time_count{{{labels}}} 3"
        if asked:
            running.wait(lambda: lines() == [wanted])
        else:
            running.wait_stat("cluster.origin.grpc.test.echo.total", 3)
            assert lines() == []
