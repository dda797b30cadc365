"""Which of three real origins a request goes to."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import endpoint, logged, simple
from tests.e2e.wire import GET, OK, Server, Wire, serving


@contextmanager
def three() -> Iterator[tuple[list[Server], Counter[int]]]:
    """Three origins, and how many requests each had. `/hold` is never answered."""
    counts: Counter[int] = Counter()

    def serve(wire: Wire, number: int) -> None:
        while message := wire.message():
            counts[number] += 1
            if message.target == "/hold":
                wire.is_ended()
            else:
                wire.send(OK)

    with ExitStack() as stack:
        yield (
            [
                stack.enter_context(serving(lambda wire, n=n: serve(wire, n)))  # type: ignore[misc]
                for n in range(3)
            ],
            counts,
        )


def ask(folder: Path, origins: list[Server], requests: int, **fields: Any) -> None:
    endpoints = [endpoint(origin.port) for origin in origins]
    with simple(folder, *endpoints, **fields) as running, running.connect() as client:
        for _ in range(requests):
            assert client.get().status == 200


def test_round_robin_by_weight(tmp_path: Path) -> None:
    weights = [1, 2, 7]
    with three() as (origins, counts):
        endpoints = [
            endpoint(origin.port, load_balancing_weight=weight)
            for origin, weight in zip(origins, weights, strict=True)
        ]
        with simple(tmp_path, *endpoints) as running, running.connect() as client:
            for turn in range(1, 31):
                for _ in range(10):
                    assert client.get().status == 200
                assert counts == Counter({n: w * turn for n, w in enumerate(weights)})


def test_round_robin_takes_turns(tmp_path: Path) -> None:
    with three() as (origins, counts):
        ask(tmp_path, origins, 300)
    assert counts == Counter({0: 100, 1: 100, 2: 100})


def test_random_spreads(tmp_path: Path) -> None:
    """Each has a third; 900 requests miss these bounds once in far more than a million runs."""
    with three() as (origins, counts):
        ask(tmp_path, origins, 900, lb_policy="RANDOM")
    assert sum(counts.values()) == 900
    assert all(200 < counts[n] < 400 for n in range(3)), counts


def test_least_request_avoids_the_busy(tmp_path: Path) -> None:
    """It draws five times, so a busy host gets a request only if all draws are that host."""
    policy = {
        "lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {"choice_count": 5},
    }
    with three() as (origins, counts):
        ports = [origin.port for origin in origins]
        with simple(tmp_path, *ports, **policy) as running, running.connect() as client:
            holding = running.connect()
            holding.send(GET.replace(b"/", b"/hold", 1))
            running.wait(lambda: sum(counts.values()) == 1)
            busy = next(iter(counts))
            for _ in range(600):
                assert client.get().status == 200
            # (1/3)^5 of 600 is 2.5; a third would be 200.
            assert counts[busy] - 1 < 30
            assert min(counts[n] for n in range(3) if n != busy) > 200
            holding.close()
            running.wait_idle()
            before = counts[busy]
            for _ in range(300):
                assert client.get().status == 200
            assert counts[busy] - before > 50


def test_the_unhealthy_get_nothing(tmp_path: Path) -> None:
    with three() as (origins, counts):
        states = ["UNHEALTHY", "HEALTHY", "UNKNOWN"]
        endpoints = [
            endpoint(origin.port, health_status=state)
            for origin, state in zip(origins, states, strict=True)
        ]
        with simple(tmp_path, *endpoints) as running, running.connect() as client:
            for _ in range(100):
                assert client.get().status == 200
            assert running.stat("cluster.origin.membership_healthy") == 2
    assert counts == Counter({1: 50, 2: 50})


@pytest.mark.parametrize("state", ["UNHEALTHY", "DRAINING", "TIMEOUT"])
def test_panic(tmp_path: Path, state: str) -> None:
    """One healthy of three is less than half: in panic everybody is asked."""
    with three() as (origins, counts):
        states = [state, state, "HEALTHY"]
        endpoints = [
            endpoint(origin.port, health_status=given)
            for origin, given in zip(origins, states, strict=True)
        ]
        with simple(tmp_path, *endpoints) as running, running.connect() as client:
            for _ in range(90):
                assert client.get().status == 200
            assert running.stat("cluster.origin.lb_healthy_panic") == 90
    assert counts == Counter({0: 30, 1: 30, 2: 30})


@pytest.mark.parametrize(("threshold", "expected"), [(33, [0, 0, 90]), (34, [30, 30, 30])])
def test_the_threshold_of_panic(tmp_path: Path, threshold: int, expected: list[int]) -> None:
    with three() as (origins, counts):
        states = ["UNHEALTHY", "UNHEALTHY", "HEALTHY"]
        endpoints = [
            endpoint(origin.port, health_status=given)
            for origin, given in zip(origins, states, strict=True)
        ]
        setting = {"healthy_panic_threshold": {"value": threshold}}
        with (
            simple(tmp_path, *endpoints, common_lb_config=setting) as running,
            running.connect() as client,
        ):
            for _ in range(90):
                assert client.get().status == 200
    assert [counts[n] for n in range(3)] == expected


def test_nobody_healthy_and_no_panic(tmp_path: Path) -> None:
    with three() as (origins, counts):
        endpoints = [endpoint(origin.port, health_status="UNHEALTHY") for origin in origins]
        setting = {"healthy_panic_threshold": {"value": 0}}
        with (
            simple(tmp_path, *endpoints, common_lb_config=setting) as running,
            running.connect() as client,
        ):
            assert client.get().status == 503
            assert logged(tmp_path, running, 1) == ['503 UH no_healthy_upstream "GET /"']
    assert not counts
