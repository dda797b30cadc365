"""The real HTTP server on a real socket."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dragoman.admin import listen
from dragoman.admin.access import Access
from dragoman.admin.access_log import AccessLog
from dragoman.admin.app import make_app
from dragoman.admin.serve import AdminServer
from tests.unit.stats import support

from .fakes import Engine, Proxy

PROXY = Proxy(Engine(metrics=support.metrics()), stats_tags=(("zone", "eu"),))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.log"


@pytest.fixture(scope="module")
def client(log: Path) -> Iterator[httpx.Client]:
    listening = listen.bind({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
    writer = AccessLog([str(log)])
    app = make_app(PROXY, Access([{"prefix": "/"}]), writer)
    server = AdminServer(app, listening)
    thread = threading.Thread(target=lambda: asyncio.run(server.run()))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://{listen.address_text(listening)}") as made:
            yield made
    finally:
        server.stop()
        thread.join(timeout=10)
        writer.close()
    assert not thread.is_alive()


def test_headers(client: httpx.Client) -> None:
    answer = client.get("/stats")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
    assert answer.headers["cache-control"] == "no-cache, max-age=0"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("server") == ["envoy"]
    assert "date" in answer.headers
    assert answer.text == support.read("stats.txt")


def test_the_target_arrives_as_sent(client: httpx.Client) -> None:
    assert client.get("/stats?filter=live&filter=x").text == "server.live: 1\n"
    assert client.get("/stats?filter=server.li%5Bv%5De").text == "server.live: 1\n"
    assert client.get("/server%5Finfo").status_code == 404


def test_methods(client: httpx.Client) -> None:
    assert client.get("/reset_counters").status_code == 405
    assert client.post("/reset_counters").text == "OK\n"
    assert client.delete("/ready").text == "LIVE\n"
    head = client.head("/ready")
    assert (head.status_code, head.text) == (200, "")


def test_every_kind_of_page(client: httpx.Client) -> None:
    assert client.get("/").headers["content-type"] == "text/html; charset=UTF-8"
    assert client.get("/clusters?format=json").headers["content-type"] == "application/json"
    assert client.get("/nothing").status_code == 404


def test_requests_are_logged(client: httpx.Client, log: Path) -> None:
    client.post("/zzz?logged", content=b"abc", headers={"x-request-id": "17"})
    # The line is written after the answer; the next answer on this connection comes after it.
    client.get("/ready")
    line = next(line for line in log.read_text().splitlines() if "logged" in line)
    assert '"POST /zzz?logged HTTP/1.1" 404 - 3 ' in line
    assert '"17"' in line
