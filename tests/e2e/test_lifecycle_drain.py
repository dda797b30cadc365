"""How a proxy with open connections ends, and how it stops listening first.

What is expected was seen with a real Envoy 1.40, but for how soon a connection ends behind
`connection: close`: Dragoman ends its side at once.
"""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.proxies import Proxy, bootstrap, cluster, file_log, listener, manager
from tests.e2e.running import DRAGOMAN
from tests.e2e.wire import GET, OK, Message, Wire, serving


class Drained:
    """A proxy with requests in flight: `half` has half of its answer, `late` none of it."""

    def __init__(self, folder: Path, running: Proxy, come: "queue.Queue[str]") -> None:
        self.running = running
        self.access = folder / "access"
        self.idle = running.connect()
        assert self.idle.get().status == 200
        self.unused = running.connect()
        self.half = running.connect()
        self.half.send(GET.replace(b"/", b"/half", 1))
        assert self.half.until(b"abc")
        self.late = running.connect()
        self.late.send(GET.replace(b"/", b"/late", 1))
        assert sorted(come.get(timeout=20) for _ in range(3)) == ["/", "/half", "/late"]

    def post(self, target: str) -> None:
        assert self.running.admin.post(target).text == "OK\n"

    def refuses(self) -> bool:
        try:
            self.running.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def stat(self, name: str) -> int:
        return self.running.stat(name)


@contextmanager
def drained(folder: Path, *options: str) -> Iterator[tuple[Drained, threading.Event]]:
    """The event lets the origin answer."""
    come: queue.Queue[str] = queue.Queue()
    answer = threading.Event()

    def serve(wire: Wire) -> None:
        while message := wire.message():
            come.put(message.target)
            if message.target == "/half":
                wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
                assert answer.wait(60)
                wire.send(b"def")
            else:
                assert message.target == "/" or answer.wait(60)
                wire.send(OK)

    with serving(serve) as origin:
        hcm = manager(access_log=[file_log(folder / "access", Proxy.LOG)])
        config = bootstrap([listener(hcm)], [cluster(origin.port)])
        running = Proxy(folder, config, [*DRAGOMAN, *options])
        try:
            yield Drained(folder, running, come), answer
            assert "Traceback" not in running.log.read_text()
        finally:
            answer.set()
            code = running.end()
        assert code == 0


def asked_to_close(message: Message) -> bool:
    return message.fields.get("connection") == "close"


def interrupt(number: signal.Signals) -> Callable[[Drained], None]:
    return lambda it: it.running.process.send_signal(number)


ENDS = {
    "SIGTERM": interrupt(signal.SIGTERM),
    "SIGINT": interrupt(signal.SIGINT),
    "quitquitquit": lambda it: it.post("/quitquitquit"),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_process_ends_whatever_is_open(tmp_path: Path, how: str) -> None:
    """It doesn't wait for clients or origins; an answer is cut rather than made to look whole."""
    with drained(tmp_path) as (it, _):
        ENDS[how](it)
        assert it.running.process.wait(timeout=20) == 0
        for client in (it.idle, it.unused, it.half, it.late):
            assert client.is_ended()
        assert '200 - via_upstream "GET /"' in it.access.read_text()


def test_requests_cut_by_the_end_are_logged(tmp_path: Path) -> None:
    with drained(tmp_path) as (it, _):
        it.running.process.terminate()
        it.running.process.wait(timeout=20)
        lines = it.access.read_text().splitlines()
        assert [line.rpartition(" ")[2] for line in sorted(lines)] == ['/late"', '/"', '/half"']
        cut = [line for line in lines if '/"' not in line]
        assert {line.split(" ")[1] for line in cut} == {"DC"}


def test_a_second_signal_does_no_harm(tmp_path: Path) -> None:
    with drained(tmp_path) as (it, _):
        for _ in range(5):
            it.running.process.send_signal(signal.SIGTERM)
        assert it.running.process.wait(timeout=20) == 0


def test_stop_listening_at_once(tmp_path: Path) -> None:
    with drained(tmp_path, "--drain-strategy", "immediate") as (it, answer):
        it.post("/drain_listeners")
        it.running.wait(it.refuses)
        assert it.stat("listener_manager.listener_stopped") == 1
        # Whoever is connected is served, and asked to leave.
        for client in (it.idle, it.unused):
            assert asked_to_close(client.get())
            assert client.is_ended()
        answer.set()
        assert it.half.until(b"def")
        assert it.late.response().body == b"ok"
        assert it.running.process.poll() is None
        assert it.running.admin.get("/ready").text == "LIVE\n"
        it.running.wait_idle()


def test_in_flight_requests_hear_of_the_end_of_their_listener(tmp_path: Path) -> None:
    with drained(tmp_path, "--drain-strategy", "immediate") as (it, answer):
        it.post("/drain_listeners")
        it.running.wait(it.refuses)
        answer.set()
        assert asked_to_close(it.late.response())
        assert it.late.is_ended()
        assert it.stat("http.ingress.downstream_cx_drain_close") == 1


def test_graceful_and_immediate(tmp_path: Path) -> None:
    """Every response asks to leave; listening and what is in flight go on over the drain time."""
    with drained(tmp_path, "--drain-strategy", "immediate", "--drain-time-s", "600") as (
        it,
        answer,
    ):
        it.post("/drain_listeners?graceful")
        assert all(asked_to_close(client.get()) for client in (it.idle, it.unused))
        assert it.idle.is_ended()
        assert not it.refuses()
        assert asked_to_close(it.running.connect().get())
        answer.set()
        assert it.half.until(b"def")
        assert asked_to_close(it.late.response())
        assert it.late.is_ended()
        assert it.stat("http.ingress.downstream_cx_drain_close") == 4
        assert it.stat("listener_manager.listener_stopped") == 0


def test_graceful_and_gradual(tmp_path: Path) -> None:
    """At the drain's beginning nearly nobody is asked to leave, behind its end everybody is."""
    with drained(tmp_path, "--drain-time-s", "600") as (it, _):
        it.post("/drain_listeners?graceful")
        closes = [asked_to_close(it.running.connect().get()) for _ in range(20)]
        assert not all(closes)
        assert not it.refuses()


def test_the_drain_time_ends(tmp_path: Path) -> None:
    with drained(tmp_path, "--drain-time-s", "1") as (it, answer):
        it.post("/drain_listeners?graceful")
        it.running.wait(it.refuses)
        assert asked_to_close(it.unused.get())
        # Only listening ends: what is in flight goes on.
        answer.set()
        assert it.half.until(b"def")
        assert asked_to_close(it.late.response())
        assert it.stat("listener_manager.listener_stopped") == 1
        assert it.running.process.poll() is None


def test_asked_to_leave_but_never_refused(tmp_path: Path) -> None:
    with drained(tmp_path, "--drain-time-s", "1") as (it, _):
        it.post("/drain_listeners?graceful&skip_exit")
        it.running.wait(lambda: all(asked_to_close(it.running.connect().get()) for _ in range(20)))
        assert not it.refuses()


def test_failed_health_checks_drain(tmp_path: Path) -> None:
    with drained(tmp_path) as (it, answer):
        it.post("/healthcheck/fail")
        assert asked_to_close(it.idle.get())
        assert it.idle.is_ended()
        assert asked_to_close(it.unused.get())
        answer.set()
        assert asked_to_close(it.late.response())
        assert it.half.until(b"def")
        assert not it.refuses()
        it.post("/healthcheck/ok")
        with it.running.connect() as client:
            assert not asked_to_close(client.get())
            assert not asked_to_close(client.get())
        # A connection whose answer was begun before is none the worse.
        assert not asked_to_close(it.half.get())
        assert it.stat("http.ingress.downstream_cx_drain_close") == 3


def test_draining_twice(tmp_path: Path) -> None:
    with drained(tmp_path) as (it, _):
        it.post("/drain_listeners?graceful")
        it.post("/drain_listeners")
        it.running.wait(it.refuses)
        it.post("/drain_listeners")
        assert it.stat("listener_manager.listener_stopped") == 1


def test_the_end_amid_traffic(tmp_path: Path) -> None:
    """Every client gets whole answers until its connection ends; the exit code is 0."""
    with serving(lambda wire: serve_all(wire)) as origin:
        config = bootstrap([listener(manager())], [cluster(origin.port)])
        running = Proxy(tmp_path, config, workers=2)
        served = [0] * 8
        unexpected: list[BaseException] = []

        def ask(number: int) -> None:
            try:
                with running.connect() as client:
                    while True:
                        client.send(GET)
                        answer = client.message()
                        if answer is None:
                            return
                        assert answer.body == b"ok"
                        served[number] += 1
            except (ConnectionResetError, BrokenPipeError):
                pass
            except BaseException as error:
                unexpected.append(error)

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for asker in askers:
            asker.start()
        running.wait(lambda: min(served) > 100)
        running.process.terminate()
        assert running.process.wait(timeout=20) == 0
        for asker in askers:
            asker.join()
        running.end()
        assert not unexpected


def serve_all(wire: Wire) -> None:
    while wire.message():
        wire.send(OK)
