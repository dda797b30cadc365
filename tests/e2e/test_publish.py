"""Named resources replaced one by one under a running engine: what changes, what lives on.

The engine runs in this process; discovery services will drive it the same way.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dragoman._core import BindError, Engine, PublishError
from dragoman.config import load_bootstrap
from tests.e2e.proxies import Config, bootstrap, cluster, file_log, listener, manager
from tests.e2e.wire import OK, Wire, answering, connect, serving

Change = tuple[str, str, bytes | None]

#: Not loopback's: nothing can be bound there.
ELSEWHERE = ("192.0.2.1", 80)


def changes(listeners: list[Config], clusters: list[Config]) -> list[Change]:
    loaded = load_bootstrap(None, json.dumps(bootstrap(listeners, clusters))).require()
    return [(one.kind, one.name, one.payload) for one in loaded.resources()]


def only(kind: str, all_of_them: list[Change]) -> list[Change]:
    return [change for change in all_of_them if change[0] == kind]


def answers(word: bytes) -> Callable[[Wire], None]:
    return answering(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(word), word))


class Running:
    """A started engine."""

    def __init__(self, drain_time_s: float) -> None:
        self.engine = Engine(concurrency=1, drain_time_s=drain_time_s, file_flush_interval_ms=50)

    def connect(self, name: str = "web") -> Wire:
        (found,) = [one for one in self.engine.listeners() if one.name == name]
        host, _, port = found.addresses[0].rpartition(":")
        return connect((host, int(port)))

    def stat(self, name: str) -> int:
        return next((m.value for m in self.engine.stats() if m.name == name), 0)

    def wait(self, condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            time.sleep(0.02)
        pytest.fail("waited in vain")


@contextmanager
def running(first: list[Change], drain_time_s: float = 600.0) -> Iterator[Running]:
    it = Running(drain_time_s)
    it.engine.publish(first)
    it.engine.start()
    try:
        yield it
    finally:
        it.engine.stop()


def test_a_cluster_is_replaced_under_open_connections() -> None:
    with serving(answers(b"old")) as old, serving(answers(b"new")) as new:
        web = listener(manager())
        with running(changes([web], [cluster(old.port)])) as it, it.connect() as client:
            assert client.get().body == b"old"
            done = it.engine.publish(only("cluster", changes([web], [cluster(new.port)])))
            assert done.changes == ["cluster origin: modified"]
            it.wait(lambda: client.get().body == b"new")
            assert it.stat("listener_manager.listener_modified") == 0
            assert it.stat("cluster_manager.cluster_modified") == 1


def test_endpoints_are_replaced_alone() -> None:
    with serving(answers(b"old")) as old, serving(answers(b"new")) as new:
        first = changes([listener(manager())], [cluster(old.port)])
        loaded = load_bootstrap(None, json.dumps(bootstrap([], [cluster(new.port)]))).require()
        assignment = loaded.bootstrap.static_resources.clusters[0].load_assignment
        with running(first) as it, it.connect() as client:
            assert client.get().body == b"old"
            it.engine.publish([("endpoints", "origin", assignment.SerializeToString())])
            it.wait(lambda: client.get().body == b"new")


def test_a_hosts_new_weight_costs_no_connection() -> None:
    with serving(answers(b"ok")) as origin:
        one, weighed = (cluster(origin.port) for _ in range(2))
        weighed["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["load_balancing_weight"] = 7
        loaded = load_bootstrap(None, json.dumps(bootstrap([], [weighed]))).require()
        assignment = loaded.bootstrap.static_resources.clusters[0].load_assignment
        with running(changes([listener(manager())], [one])) as it, it.connect() as client:
            client.get()
            done = it.engine.publish([("endpoints", "origin", assignment.SerializeToString())])
            assert done.changes != []
            client.get()
            assert it.stat("cluster.origin.upstream_cx_total") == 1


def test_what_is_published_again_stays_as_it_is() -> None:
    with serving(answers(b"ok")) as origin:
        first = changes([listener(manager())], [cluster(origin.port)])
        with running(first) as it, it.connect() as client:
            client.get()
            assert it.engine.publish(first).changes == []
            client.get()
            assert it.stat("cluster.origin.upstream_cx_total") == 1


REFUSED: dict[str, Callable[[int], tuple[list[Change], type[Exception]]]] = {
    "broken": lambda _: ([("cluster", "origin", b"\xff")], PublishError),
    "an unknown cluster": lambda _: ([("cluster", "origin", None)], PublishError),
    "one of many": lambda port: (
        [*changes([], [cluster(port, name="fine")]), ("listener", "other", b"\xff")],
        PublishError,
    ),
    "no such address": lambda port: (
        changes([listener(manager(), ELSEWHERE, name="other")], [cluster(port)]),
        BindError,
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_refused_publish_leaves_no_trace(how: str) -> None:
    with serving(answers(b"ok")) as origin:
        first = changes([listener(manager())], [cluster(origin.port)])
        wrong, error = REFUSED[how](origin.port)
        with running(first) as it, it.connect() as client:
            client.get()
            with pytest.raises(error):
                it.engine.publish(wrong)
            assert client.get().body == b"ok"
            with it.connect() as another:
                assert another.get().body == b"ok"
            assert [one.name for one in it.engine.clusters()] == ["origin"]
            assert [one.name for one in it.engine.listeners()] == ["web"]
            assert it.stat("cluster.origin.upstream_cx_total") == 1


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_listener_that_leaves_takes_its_connections_along(tmp_path: Path, how: str) -> None:
    """Not before its drain time is over; what is in flight then is cut, and logged."""
    release = threading.Event()

    def slow(wire: Wire) -> None:
        while message := wire.message():
            assert message.target == "/" or release.wait(60)
            wire.send(OK)

    log = tmp_path / "access"
    hcm = manager(access_log=[file_log(log, "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])
    with serving(slow) as origin:
        first = changes([listener(hcm)], [cluster(origin.port)])
        other = changes([listener(manager(server_name="new"))], [cluster(origin.port)])
        with running(first, drain_time_s=1.0) as it, it.connect() as idle, it.connect() as busy:
            idle.get()
            busy.send(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            it.wait(lambda: it.stat("http.ingress.downstream_rq_active") == 1)
            gone: list[Change] = [("listener", "web", None)]
            it.engine.publish(gone if how == "removed" else only("listener", other))
            # What replaces it differs in its filter chain only.
            what = "listeners" if how == "removed" else "filter_chains"
            gauge = f"listener_manager.total_{what}_draining"
            assert it.stat(gauge) == 1
            assert idle.is_ended()
            assert busy.is_ended()
            it.wait(lambda: it.stat(gauge) == 0)
            if how == "replaced":
                with it.connect() as another:
                    assert another.get().fields["server"] == "new"
            else:
                assert it.engine.listeners() == []
            it.wait(lambda: it.stat("cluster.origin.upstream_rq_active") == 0)
            it.wait(lambda: len(log.read_text().splitlines()) == 2)
            assert log.read_text().splitlines()[1].startswith("DC downstream_local_disconnect(")
            release.set()


def test_a_stopped_listener_keeps_its_connections_whatever_is_published() -> None:
    with serving(answers(b"old")) as old, serving(answers(b"new")) as new:
        web = listener(manager())
        first = changes([web], [cluster(old.port)])
        with running(first, drain_time_s=0.1) as it, it.connect() as client:
            client.get()
            it.engine.stop_listening()
            it.engine.publish(only("cluster", changes([web], [cluster(new.port)])))
            # Ended ones would end with one of the next half seconds.
            time.sleep(1.5)
            assert client.get().body == b"new"
            assert it.stat("listener_manager.total_listeners_draining") == 0


def test_a_head_in_pieces_costs_nobody_his_time() -> None:
    """The time to connect begins with connecting, however long the head took to come."""
    once = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    with serving(answering(once)) as origin:
        web = changes([listener(manager())], [cluster(origin.port, connect_timeout="0.25s")])
        with running(web) as it:
            for _ in range(3):
                with it.connect() as client:
                    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n")
                    time.sleep(0.4)
                    client.send(b"\r\n")
                    assert client.response().status == 200


def test_listeners_keep_the_order_of_the_configuration() -> None:
    hcm = manager([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])
    named = {name: listener(hcm, name=name) for name in ("z", "a", "m")}
    with running(changes(list(named.values()), [])) as it:

        def names() -> list[str]:
            return [one.name for one in it.engine.listeners()]

        assert names() == ["z", "a", "m"]
        it.engine.publish(changes([listener(hcm | {"server_name": "new"}, name="a")], []))
        assert names() == ["z", "a", "m"]
        it.engine.publish([("listener", "z", None)])
        assert names() == ["a", "m"]


def _two_chains(port: int, near: str, far: str, **fields: Any) -> list[Change]:
    """Clients of 127.0.0.2 are answered `far`, all others `near`."""

    def chain(word: str, **match: Any) -> Config:
        hcm = manager([{"match": {"prefix": "/"}, "direct_response": {
            "status": 200, "body": {"inline_string": word},
        }}])  # fmt: skip
        kind = "envoy.filters.network.http_connection_manager"
        return {"filters": [{"name": kind, "typed_config": hcm}], **match}

    source = {"source_prefix_ranges": [{"address_prefix": "127.0.0.2", "prefix_len": 32}]}
    chains = [chain(near), chain(far, filter_chain_match=source)]
    web = listener({}, filter_chains=chains, **fields)
    return only("listener", changes([web], [cluster(port)]))


def _connect_from(it: Running, host: str) -> Wire:
    (found,) = it.engine.listeners()
    where, _, port = found.addresses[0].rpartition(":")
    return Wire(socket.create_connection((where, int(port)), 10, (host, 0)))


def test_an_update_of_one_chain_leaves_the_others_alone() -> None:
    with (
        serving(answers(b"ok")) as origin,
        running(_two_chains(origin.port, "near", "far"), drain_time_s=0.5) as it,
        _connect_from(it, "127.0.0.1") as near,
        _connect_from(it, "127.0.0.2") as far,
    ):
        assert (near.get().body, far.get().body) == (b"near", b"far")
        done = it.engine.publish(_two_chains(origin.port, "near", "farther"))
        assert done.changes == ["listener web: modified, its filter chains only"]
        # The changed chain's connections are asked to leave, and end with the drain time.
        assert far.until(b"never") is None
        with _connect_from(it, "127.0.0.2") as again:
            assert again.get().body == b"farther"
        it.wait(lambda: it.stat("listener_manager.total_filter_chains_draining") == 0)
        assert near.get().body == b"near"
        assert it.stat("listener_manager.listener_modified") == 1
        assert it.stat("listener_manager.listener_in_place_updated") == 1
        # Those of an older version leave when the whole listener changes.
        done = it.engine.publish(
            _two_chains(origin.port, "near", "farther", traffic_direction="INBOUND")
        )
        assert done.changes == ["listener web: modified"]
        assert near.until(b"never") is None
        assert it.stat("listener_manager.listener_in_place_updated") == 1


def test_a_host_that_leaves_has_its_http2_connections_counted_out() -> None:
    back = listener(
        manager([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]), name="back"
    )
    with running(changes([back], [])) as it:
        (found,) = it.engine.listeners()
        port = int(found.addresses[0].rpartition(":")[2])
        there, gone = (cluster(at, http2_protocol_options={}) for at in (port, 1))
        it.engine.publish(changes([back, listener(manager())], [there]))
        with it.connect() as client:
            assert client.get().status == 200
            assert it.stat("cluster.origin.upstream_cx_active") == 1
            it.engine.publish(only("cluster", changes([], [gone])))
            it.wait(lambda: client.get().status == 503)
            it.wait(lambda: it.stat("cluster.origin.upstream_cx_active") == 0)
            assert it.stat("cluster.origin.upstream_cx_destroy") >= 1


def test_a_stopped_listener_is_handed_no_connections() -> None:
    kind = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    names: Config = {
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {"@type": kind},
    }

    def answering_with(word: str) -> Config:
        direct = {"status": 200, "body": {"inline_string": word}}
        return manager([{"match": {"prefix": "/"}, "direct_response": direct}])

    first = listener(answering_with("first"), use_original_dst=True, listener_filters=[names])
    second = listener(
        answering_with("second"), ("198.51.100.2", 81), "second",
        bind_to_port=False, traffic_direction="INBOUND",
    )  # fmt: skip

    def asked(it: Running) -> bytes:
        with it.connect() as client:
            client.send(b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 81\r\n")
            return client.get().body

    with running(changes([first, second], [])) as it:
        assert asked(it) == b"second"
        it.engine.stop_listening(inbound_only=True)
        it.wait(lambda: asked(it) == b"first")
