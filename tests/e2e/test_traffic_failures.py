"""Origins that die, and connections that die at the moment they are used."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.proxies import Proxy, logged, simple
from tests.e2e.running import free_port
from tests.e2e.wire import GET, OK, Message, Wire, serving

ROOT = Path(__file__).resolve().parents[2]
POST = b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello"


def start_origin(port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.e2e.origin_process", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_an_origin_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    origin = start_origin(port)
    try:
        with simple(tmp_path, port) as running:
            served = [running.connect() for _ in range(5)]
            for client in served:
                assert client.get().status == 200
            waiting = [running.connect() for _ in range(5)]
            for client in waiting:
                client.send(POST.replace(b"/", b"/slow", 1))
            half = running.connect()
            half.send(GET.replace(b"/", b"/half", 1))
            assert half.until(b"hello") is not None
            running.wait_stat("cluster.origin.upstream_rq_active", 6)
            kill(origin)
            assert [client.response().status for client in waiting] == [503] * 5
            assert half.is_ended()
            # Its idle connections are dead too; nothing listens.
            assert [client.get("/dead").status for client in served] == [503] * 5
            running.wait_idle()
            running.wait_stat("cluster.origin.upstream_cx_active", 0)
            flags = sorted(line.split(" ", 3)[:2] for line in logged(tmp_path, running, 16))
            assert (
                flags
                == [["200", "-"]] * 5 + [["200", "UPE"]] + [["503", "UC"]] * 5 + [["503", "UF"]] * 5
            )
            origin = start_origin(port)
            assert [client.get().status for client in [*served, *waiting]] == [200] * 10
            running.wait_idle()
    finally:
        kill(origin)


def test_an_origin_is_killed_amid_traffic(tmp_path: Path) -> None:
    """Whatever the moment: an answer or a 503, and nothing that stays behind."""
    port = free_port()
    origin = start_origin(port)
    statuses: list[int] = []
    stop = threading.Event()

    def ask(client: Wire) -> None:
        while not stop.is_set():
            statuses.append(client.get().status)

    try:
        with simple(tmp_path, port) as running:
            askers = [threading.Thread(target=ask, args=(running.connect(),)) for _ in range(8)]
            for asker in askers:
                asker.start()
            for _ in range(3):
                came = len(statuses)
                running.wait(lambda came=came: statuses[came:].count(200) > 50)  # type: ignore[misc]
                kill(origin)
                running.wait(lambda: statuses[-1] == 503)
                origin = start_origin(port)
            running.wait(lambda: statuses[-1] == 200)
            stop.set()
            for asker in askers:
                asker.join()
            running.wait_idle()
            assert set(statuses) == {200, 503}
            lines = logged(tmp_path, running, len(statuses))
            flags = {line.split(" ")[1] for line in lines if line.startswith("503")}
            assert flags <= {"UC", "UF"}
    finally:
        stop.set()
        kill(origin)


def closes_reused(wire: Wire) -> None:
    """Answers a connection's first request, and closes when a second one comes."""
    assert wire.message()
    wire.send(OK)
    wire.message()


def closes_after_the_answer(wire: Wire) -> None:
    """Closes without a warning once it has answered: the end may meet the next request."""
    assert wire.message()
    wire.send(OK)


def resets_reused(wire: Wire) -> None:
    """As `closes_reused`, with bytes unread: the kernel sends a reset."""
    assert wire.message()
    wire.send(OK)
    wire.fill()


REPEATABLE = [
    f"{method} / HTTP/1.1\r\nhost: a.example\r\n\r\n".encode()
    for method in ("GET", "OPTIONS", "TRACE", "PUT", "DELETE")
]


def ask_all(running: Proxy, requests: list[bytes]) -> list[int]:
    with running.connect() as client:
        answers: list[Message] = []
        for request in requests:
            client.send(request)
            answers.append(client.response())
        return [answer.status for answer in answers]


@pytest.mark.parametrize("serve", [closes_reused, closes_after_the_answer, resets_reused])
def test_a_repeatable_request_survives_the_race(
    tmp_path: Path, serve: Callable[[Wire], None]
) -> None:
    requests = REPEATABLE * 40
    with serving(serve) as origin, simple(tmp_path, origin.port) as running:
        assert set(ask_all(running, requests)) == {200}
        lines = logged(tmp_path, running, len(requests))
        assert {line.split(" ", 3)[1] for line in lines} == {"-"}
        running.wait_idle()
        assert running.stat("cluster.origin.upstream_cx_active") <= 1


@pytest.mark.parametrize(
    "request_bytes", [POST, POST.replace(b"content-length: 5", b"content-length: 0")[:-5]]
)
def test_a_post_is_not_sent_twice(tmp_path: Path, request_bytes: bytes) -> None:
    came: list[str] = []

    def serve(wire: Wire) -> None:
        while message := wire.message():
            came.append(message.words[0])
            if len(came) % 2 == 0:
                return
            wire.send(OK)

    with serving(serve) as origin, simple(tmp_path, origin.port) as running:
        assert ask_all(running, [request_bytes] * 10) == [200, 503] * 5
        assert len(came) == 10
        flags = [line.split(" ", 3)[1] for line in logged(tmp_path, running, 10)]
        assert flags == ["-", "UC"] * 5
        running.wait_idle()


def test_a_request_is_sent_again_once(tmp_path: Path) -> None:
    """One that kills its origin must not go round all idle connections."""
    gathered = threading.Barrier(10)
    came: list[str] = []

    def serve(wire: Wire) -> None:
        assert wire.message()
        gathered.wait(20)
        wire.send(OK)
        if message := wire.message():
            came.append(message.target)
            server.stop_listening()

    with serving(serve) as server, simple(tmp_path, server.port) as running:
        clients = [running.connect() for _ in range(10)]
        for client in clients:
            client.send(GET)
        assert {client.response().status for client in clients} == {200}
        running.wait_stat("cluster.origin.upstream_cx_active", 10)
        assert clients[0].get("/deadly").status == 503
        assert came == ["/deadly"]
        running.wait_stat("cluster.origin.upstream_cx_active", 9)
        # Idle connections that end are noticed though nobody asks for them.
        for wire in server.wires:
            wire.close()
        running.wait_stat("cluster.origin.upstream_cx_active", 0)
        running.wait_idle()


def test_the_race_with_one_connection_allowed(tmp_path: Path) -> None:
    """Who is sent again and who waits for the connection do not take it from each other."""
    limits = {"thresholds": [{"max_connections": 1, "max_pending_requests": 100}]}
    statuses: list[int] = []

    def ask(client: Wire) -> None:
        statuses.extend(client.get().status for _ in range(50))

    with (
        serving(closes_reused) as origin,
        simple(tmp_path, origin.port, circuit_breakers=limits) as running,
    ):
        askers = [threading.Thread(target=ask, args=(running.connect(),)) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert statuses == [200] * 400
        running.wait_idle()
        assert running.stat("cluster.origin.upstream_cx_active") <= 1


def test_a_half_answered_request_is_not_repeated(tmp_path: Path) -> None:
    """A byte of an answer, and the request was served: sending it again would do it twice."""

    def serve(wire: Wire) -> None:
        assert wire.message()
        wire.send(OK)
        assert wire.message()
        wire.send(b"HTTP/1.1 2")

    with serving(serve) as origin, simple(tmp_path, origin.port) as running:
        assert ask_all(running, [GET, GET]) == [200, 502]
        assert logged(tmp_path, running, 2)[1].startswith("502 UPE")
        running.wait_idle()
        running.wait_stat("cluster.origin.upstream_cx_active", 0)
