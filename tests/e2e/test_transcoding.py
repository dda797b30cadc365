"""JSON over HTTP before a gRPC server: grpc_json_transcoder with grpcio behind it."""

import json
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.differential.grpc import SET, message, read, transcoder
from tests.e2e.http2 import http2
from tests.e2e.proxies import Proxy, bootstrap, cluster, listener, manager, proxy

Fields = dict[str, Any]


class Library(grpc.GenericRpcHandler):
    """`library.Library` as far as the tests ask it."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        match details.method:
            case "/library.Library/Get":
                return grpc.unary_unary_rpc_method_handler(self.get)
            case "/library.Library/Watch":
                return grpc.unary_stream_rpc_method_handler(self.watch)
            case "/library.Library/Fill":
                return grpc.stream_unary_rpc_method_handler(self.fill)
            case "/library.Library/ReadAll":
                return grpc.unary_stream_rpc_method_handler(self.read_all)
        return None

    def get(self, asked: bytes, context: grpc.ServicerContext) -> bytes:
        request = read("ShelfRequest", asked)
        if request["shelf"] == "404":
            context.abort(grpc.StatusCode.NOT_FOUND, "no shelf 404")
        return message({"Shelf": {"id": request["shelf"], "theme": request.get("theme", "")}})

    def watch(self, asked: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        request = read("ShelfRequest", asked)
        for number in range(int(request["shelf"])):
            yield message({"Book": {"shelf": number}})
        if request.get("theme") == "broken":
            yield b"\xff\xff"

    def fill(self, books: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        titles = [read("Book", book).get("title", "") for book in books]
        return message({"Shelf": {"tags": titles}})

    def read_all(self, asked: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield message({"google.api.HttpBody": {"contentType": "text/csv", "data": "YSxi"}})
        yield message({"google.api.HttpBody": {"data": "LGM="}})


@contextmanager
def serving() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Library(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait(10)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[tuple[str, Proxy]]:
    with serving() as port:
        filters = [transcoder({"proto_descriptor": str(SET), "convert_grpc_status": True})]
        origin = cluster(port, typed_extension_protocol_options=http2())
        hcm = manager()
        hcm["http_filters"] = filters + hcm["http_filters"]
        with proxy(tmp_path, bootstrap([listener(hcm)], [origin])) as running:
            yield "http://{}:{}".format(*running.address()), running


Running = tuple[str, Proxy]


def test_a_call_and_its_answer(library: Running) -> None:
    found = httpx.get(f"{library[0]}/shelves/7?theme=crime")
    assert found.headers["content-type"] == "application/json"
    assert found.json() == {"id": "7", "theme": "crime"}


def test_a_status_is_a_status_and_a_body(library: Running) -> None:
    found = httpx.get(f"{library[0]}/shelves/404")
    assert found.status_code == 404
    assert found.json() == {"code": 5, "message": "no shelf 404"}


def test_streams_both_ways(library: Running) -> None:
    url, _ = library
    books = httpx.get(f"{url}/shelves/1000/books").json()
    assert [int(book.get("shelf", 0)) for book in books] == list(range(1000))
    titles = [f"t{number}" for number in range(1000)]
    sent = json.dumps([{"title": title} for title in titles])
    filled = httpx.post(f"{url}/shelves/1/books", content=sent)
    assert filled.json() == {"tags": titles}


def test_a_raw_stream_is_what_its_first_message_says(library: Running) -> None:
    found = httpx.get(f"{library[0]}/all/x")
    assert (found.headers["content-type"], found.text) == ("text/csv", "a,b,c")


def test_a_message_that_cannot_be_read_ends_the_stream(library: Running) -> None:
    url, running = library
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/shelves/2/books?theme=broken")
    assert httpx.get(f"{url}/shelves/1").status_code == 200
    assert running.stat("cluster.origin.upstream_rq_active") == 0
