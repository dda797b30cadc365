"""Circuit breakers under real concurrency: who waits, who is refused, what is left behind."""

import queue
import threading
from pathlib import Path
from typing import Any

from tests.e2e.proxies import Config, Proxy, bootstrap, listener, logged, manager, simple
from tests.e2e.running import DRAGOMAN
from tests.e2e.wire import GET, OK, Message, Wire, serving

CX_ACTIVE = "cluster.origin.upstream_cx_active"
PENDING = "cluster.origin.upstream_rq_pending_active"


def breakers(**limits: Any) -> Config:
    return {"circuit_breakers": {"thresholds": [limits]}}


class Held:
    """An origin whose every answer waits to be let go. `came` holds the requests' targets."""

    def __init__(self) -> None:
        self.came: queue.Queue[str] = queue.Queue()
        self._places = threading.Semaphore(0)

    def __call__(self, wire: Wire) -> None:
        while message := wire.message():
            self.came.put(message.target)
            assert self._places.acquire(timeout=20)
            wire.send(OK)

    def let_go(self, count: int = 1) -> None:
        self._places.release(count)

    def next(self) -> str:
        """The target of the next request that comes."""
        return self.came.get(timeout=20)


def ask(running: Proxy, target: str) -> Wire:
    client = running.connect()
    client.send(GET.replace(b"/", target.encode(), 1))
    return client


def wait_in_line(running: Proxy, count: int, first: int = 0) -> list[Wire]:
    """Clients that wait for a connection, in this order: /w0, /w1 ..."""
    clients = []
    for number in range(first, first + count):
        clients.append(ask(running, f"/w{number}"))
        running.wait_stat(PENDING, number + 1)
    return clients


def test_two_wait_and_more_are_refused(tmp_path: Path) -> None:
    held = Held()
    limits = breakers(max_connections=1, max_pending_requests=2)
    with serving(held) as origin, simple(tmp_path, origin.port, **limits) as running:
        first = ask(running, "/first")
        assert held.next() == "/first"
        waiting = wait_in_line(running, 2)
        refused = [ask(running, "/refused").response() for _ in range(5)]
        assert [answer.status for answer in refused] == [503] * 5
        assert {answer.fields.get("x-envoy-overloaded") for answer in refused} == {"true"}
        gauges = running.stats("^cluster.origin.circuit_breakers.default.*_open$")
        assert gauges["cluster.origin.circuit_breakers.default.cx_open"] == "1"
        assert gauges["cluster.origin.circuit_breakers.default.rq_pending_open"] == "1"
        assert running.stat(CX_ACTIVE) == 1
        held.let_go(3)
        # In the order they came.
        assert [held.next(), held.next()] == ["/w0", "/w1"]
        assert [client.response().body for client in (first, *waiting)] == [b"ok"] * 3
        running.wait_idle()
        assert running.stat(CX_ACTIVE) == 1
        assert running.stat("cluster.origin.upstream_cx_total") == 1
        assert running.stat("cluster.origin.upstream_rq_pending_overflow") == 5
        assert running.stat("cluster.origin.circuit_breakers.default.rq_pending_open") == 0
        lines = logged(tmp_path, running, 8)
        assert sum(line.startswith("503 UO ") for line in lines) == 5


def test_who_leaves_the_line_takes_nothing_away(tmp_path: Path) -> None:
    held = Held()
    limits = breakers(max_connections=1, max_pending_requests=3)
    with serving(held) as origin, simple(tmp_path, origin.port, **limits) as running:
        first = ask(running, "/first")
        assert held.next() == "/first"
        waiting = wait_in_line(running, 3)
        waiting[0].close()
        running.wait_stat(PENDING, 2)
        # The place in line is free again.
        waiting += wait_in_line(running, 1, first=2)
        waiting[2].close()
        running.wait_stat(PENDING, 2)
        held.let_go(3)
        assert [held.next(), held.next()] == ["/w1", "/w2"]
        answers = [client.response().status for client in (first, waiting[1], waiting[3])]
        assert answers == [200] * 3
        running.wait_idle()
        assert running.stat(CX_ACTIVE) == 1
        with running.connect() as client:
            held.let_go()
            assert client.get().status == 200


def test_who_leaves_during_its_request_frees_the_connection_for_the_next(tmp_path: Path) -> None:
    held = Held()
    limits = breakers(max_connections=1, max_pending_requests=2)
    with serving(held) as origin, simple(tmp_path, origin.port, **limits) as running:
        first = ask(running, "/first")
        assert held.next() == "/first"
        waiting = wait_in_line(running, 2)
        first.close()
        # Its connection can't be used again; the next in line gets a new one.
        assert held.next() == "/w0"
        held.let_go(3)
        assert [client.response().status for client in waiting] == [200] * 2
        running.wait_idle()
        assert running.stat(CX_ACTIVE) == 1
        assert running.stat("cluster.origin.upstream_cx_total") == 2


def test_who_waits_when_the_connection_dies_gets_a_new_one(tmp_path: Path) -> None:
    came: queue.Queue[str] = queue.Queue()
    die = threading.Event()

    def serve(wire: Wire) -> None:
        while message := wire.message():
            came.put(message.target)
            if message.target == "/first":
                assert die.wait(20)
                return
            wire.send(OK)

    limits = breakers(max_connections=1, max_pending_requests=2)
    with serving(serve) as origin, simple(tmp_path, origin.port, **limits) as running:
        first = ask(running, "/first")
        assert came.get(timeout=20) == "/first"
        waiting = wait_in_line(running, 2)
        die.set()
        assert first.response().status == 503
        assert [client.response().status for client in waiting] == [200] * 2
        running.wait_idle()
        assert running.stat(CX_ACTIVE) == 1


def test_a_refused_connection_lets_the_line_move(tmp_path: Path) -> None:
    """Nothing listens: each in line has its own try and its own answer."""
    with serving(lambda _: None) as origin:
        port = origin.port
    limits = breakers(max_connections=1, max_pending_requests=100)
    with simple(tmp_path, port, **limits) as running:
        clients = [ask(running, "/") for _ in range(50)]
        assert {client.response().status for client in clients} == {503}
        assert {line.split(" ")[1] for line in logged(tmp_path, running, 50)} == {"UF"}
        running.wait_idle()
        running.wait_stat(CX_ACTIVE, 0)


def test_every_host_may_have_one_connection(tmp_path: Path) -> None:
    """The limit is the cluster's; a host without any connection gets one all the same."""
    held = Held()
    limits = breakers(max_connections=1, max_pending_requests=1024)
    with (
        serving(held) as one,
        serving(held) as two,
        serving(held) as three,
        simple(tmp_path, one.port, two.port, three.port, **limits) as running,
    ):
        first = [ask(running, f"/{number}") for number in range(3)]
        assert sorted(held.next() for _ in first) == ["/0", "/1", "/2"]
        assert running.stat(CX_ACTIVE) == 3
        waiting = wait_in_line(running, 9)
        held.let_go(12)
        assert {client.response().status for client in (*first, *waiting)} == {200}
        running.wait_idle()
        assert running.stat(CX_ACTIVE) == 3
        assert running.stat("cluster.origin.upstream_cx_total") == 3


def test_the_line_drains_under_load(tmp_path: Path) -> None:
    """Two connections, many clients, some of which leave: all the others are served."""
    statuses: list[int] = []
    limits = breakers(max_connections=2, max_pending_requests=64)

    def serve(wire: Wire) -> None:
        while wire.message():
            wire.send(OK)

    def work(running: Proxy, number: int) -> None:
        for turn in range(40):
            if (number + turn) % 5 == 0:
                ask(running, "/leaves").close()
            else:
                with running.connect() as client:
                    statuses.append(client.get("/stays").status)

    with serving(serve) as origin, simple(tmp_path, origin.port, **limits) as running:
        workers = [threading.Thread(target=work, args=(running, n)) for n in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert statuses == [200] * (16 * 40 * 4 // 5)
        running.wait_idle()
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        running.wait_stat("http.ingress.downstream_rq_active", 0)
        assert running.stat(CX_ACTIVE) <= 2


def test_requests_are_counted_until_their_end(tmp_path: Path) -> None:
    held = Held()
    limits = breakers(max_requests=2)
    with serving(held) as origin, simple(tmp_path, origin.port, **limits) as running:
        clients = [ask(running, "/"), ask(running, "/")]
        held.next()
        held.next()
        refused: Message = ask(running, "/").response()
        assert refused.status == 503
        # One leaves, so one more may come.
        clients.pop().close()
        running.wait_stat("cluster.origin.upstream_rq_active", 1)
        clients.append(ask(running, "/"))
        held.next()
        held.let_go(3)
        assert [client.response().status for client in clients] == [200] * 2
        running.wait_idle()


def test_a_process_without_files_left_serves_on(tmp_path: Path) -> None:
    """More clients than it may have open files: those that are there are served, none ends it."""
    limited = ["sh", "-c", 'ulimit -n 80 && exec "$@"', "sh", *DRAGOMAN]
    answer = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    config = bootstrap([listener(manager(answer))], [], stats_flush_interval="0.1s")
    running = Proxy(tmp_path, config, limited)
    try:
        first = running.connect()
        assert first.get("/").status == 200
        others = [running.connect() for _ in range(120)]
        running.wait(lambda: "tried again" in running.log.read_text())
        assert first.get("/").status == 200
        for one in others:
            one.close()
        running.wait(lambda: running.connect().get("/").status == 200)
    finally:
        assert running.end() == 0
