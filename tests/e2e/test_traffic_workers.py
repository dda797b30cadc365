"""Two workers: both serve, and what is counted is the sum of both."""

from pathlib import Path

from tests.e2e.proxies import logged, simple
from tests.e2e.wire import GET, Wire, answering, serving

CLIENTS = 200


def test_both_workers_serve_and_stats_are_sums(tmp_path: Path) -> None:
    with serving(answering()) as origin, simple(tmp_path, origin.port, workers=2) as running:
        assert running.stat("server.concurrency") == 2
        clients = [running.connect() for _ in range(CLIENTS)]
        for _ in range(5):
            assert {client.get().status for client in clients} == {200}
        workers = [f"listener.127.0.0.1_0.worker_{n}.downstream_cx" for n in range(2)]
        totals = [running.stat(f"{worker}_total") for worker in workers]
        active = [running.stat(f"{worker}_active") for worker in workers]
        # The kernel spreads by hash; all 200 on one worker is as likely as 200 equal coins.
        assert min(totals) > 0
        assert sum(totals) == sum(active) == CLIENTS
        for name in (
            "listener.127.0.0.1_0.downstream_cx_total",
            "listener.127.0.0.1_0.downstream_cx_active",
            "http.ingress.downstream_cx_total",
            "http.ingress.downstream_cx_active",
        ):
            assert running.stat(name) == CLIENTS, name
        for name in (
            "http.ingress.downstream_rq_total",
            "http.ingress.downstream_rq_2xx",
            "listener.127.0.0.1_0.http.ingress.downstream_rq_2xx",
            "cluster.origin.upstream_rq_total",
            "cluster.origin.upstream_rq_200",
        ):
            running.wait_stat(name, 5 * CLIENTS)
        assert len(logged(tmp_path, running, 5 * CLIENTS)) == 5 * CLIENTS
        # Each worker has connections of its own; what the gauge says is what is open.
        opened = running.stat("cluster.origin.upstream_cx_active")
        assert opened >= 2
        running.wait_stat("server.total_connections", CLIENTS)
        for client in clients:
            client.close()
        for worker in workers:
            running.wait_stat(f"{worker}_active", 0)
        running.wait_stat("http.ingress.downstream_cx_active", 0)
        running.wait_idle()
        assert running.stat("http.ingress.downstream_cx_destroy") == CLIENTS


def test_limits_hold_over_all_workers(tmp_path: Path) -> None:
    """The breaker counts both workers' requests."""

    def hold(wire: Wire) -> None:
        assert wire.message()
        wire.is_ended()

    with serving(hold) as origin:
        limits = {"thresholds": [{"max_requests": 10}]}
        with simple(tmp_path, origin.port, workers=2, circuit_breakers=limits) as running:
            clients = [running.connect() for _ in range(10)]
            for number, client in enumerate(clients):
                client.send(GET)
                running.wait_stat("cluster.origin.upstream_rq_active", number + 1)
            for _ in range(20):
                assert running.connect().get().status == 503
            assert running.stat("cluster.origin.upstream_rq_active_overflow") == 20
            assert running.stat("cluster.origin.circuit_breakers.default.rq_open") == 1
            for client in clients:
                client.close()
            running.wait_idle()
            assert running.stat("cluster.origin.circuit_breakers.default.rq_open") == 0
