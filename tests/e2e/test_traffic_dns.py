"""Clusters whose endpoints are names: what the first answer, a changed one and none do to traffic.

What is expected was seen with a real Envoy 1.40.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.names import Names, serving_names, under_names
from tests.e2e.proxies import (
    Proxy,
    bootstrap,
    cluster,
    file_log,
    listener,
    logged,
    manager,
    proxy,
    simple,
)
from tests.e2e.running import DRAGOMAN
from tests.e2e.wire import OK, Server, Wire, answering, serving

KINDS = ["STRICT_DNS", "LOGICAL_DNS"]
UPDATES = "cluster.origin.update_"


@pytest.mark.parametrize("kind", KINDS)
def test_localhost(tmp_path: Path, kind: str) -> None:
    with (
        serving(answering()) as origin,
        simple(
            tmp_path, ("localhost", origin.port), type=kind, dns_lookup_family="V4_ONLY"
        ) as running,
        running.connect() as client,
    ):
        assert client.get().status == 200
        assert running.stat("cluster.origin.membership_total") == 1
        assert running.stat(f"{UPDATES}success") == running.stat(f"{UPDATES}attempt") > 0
        assert (
            f"::127.0.0.1:{origin.port}::hostname::localhost" in running.admin.get("/clusters").text
        )


@pytest.mark.parametrize(
    ("kind", "counted"), [("STRICT_DNS", "success"), ("LOGICAL_DNS", "failure")]
)
def test_a_name_that_does_not_exist(tmp_path: Path, kind: str, counted: str) -> None:
    """The process starts, and says why it can't serve; the other clusters do."""
    with serving(answering()) as origin:
        routes = [
            {"match": {"prefix": "/good"}, "route": {"cluster": "good"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "origin"}},
        ]
        hcm = manager(routes, access_log=[file_log(tmp_path / "access", Proxy.LOG)])
        nowhere = cluster(("no-such-host.invalid", 80), type=kind)
        good = cluster(origin.port, name="good")
        config = bootstrap([listener(hcm)], [nowhere, good])
        with proxy(tmp_path, config) as running, running.connect() as client:
            assert [client.get("/").status, client.get("/good").status] == [503, 200]
            assert logged(tmp_path, running, 1)[0] == '503 UH no_healthy_upstream "GET /"'
            assert running.stat("cluster.origin.upstream_cx_none_healthy") == 1
            assert running.stat(f"{UPDATES}{counted}") >= 1
            assert running.stat("cluster.origin.membership_change") == 0


class Named:
    """Two origins behind the name `svc.test`: 127.0.0.2 and 127.0.0.3. They answer who they are."""

    def __init__(self, running: Proxy, names: Names) -> None:
        self.running = running
        self.names = names
        self.client = running.connect()

    def asked(self, count: int = 4) -> list[str]:
        """The bodies (or statuses) of as many answers."""
        answers = [self.client.get() for _ in range(count)]
        return [a.body.decode() if a.status == 200 else str(a.status) for a in answers]

    def now(self, *addresses: str) -> None:
        """What the name means from now on; returns once the proxy asked for it again."""
        self.names.failing = False
        self.names.table["svc.test"] = list(addresses)
        self.wait_for_update()

    def wait_for_update(self) -> None:
        """Waits until two more lookups are over: the second began after now."""
        before = self.running.stat(f"{UPDATES}attempt")
        self.running.wait(lambda: self.running.stat(f"{UPDATES}attempt") >= before + 2)


@contextmanager
def named(folder: Path, kind: str, **fields: Any) -> Iterator[Named]:
    def serve(who: bytes) -> Any:
        return answering(OK.replace(b"ok", who))

    with ExitStack() as stack:
        try:
            names = stack.enter_context(serving_names())
            command = under_names(folder, DRAGOMAN)
        except OSError as error:
            pytest.skip(f"no DNS server of our own here: {error}")
        names.table["svc.test"] = ["127.0.0.2", "127.0.0.3"]
        two: Server = stack.enter_context(serving(serve(b"-2"), ("127.0.0.2", 0)))
        stack.enter_context(serving(serve(b"-3"), ("127.0.0.3", two.port)))
        lookup = {"dns_refresh_rate": "0.05s", "dns_lookup_family": "V4_ONLY"}
        origin = cluster(("svc.test", two.port), type=kind, **(lookup | fields))
        hcm = manager(access_log=[file_log(folder / "access", Proxy.LOG)])
        config = bootstrap([listener(hcm)], [origin])
        yield Named(stack.enter_context(proxy(folder, config, command)), names)


def test_strict_dns_uses_all_addresses(tmp_path: Path) -> None:
    with named(tmp_path, "STRICT_DNS") as it:
        assert sorted(it.asked()) == ["-2", "-2", "-3", "-3"]
        assert it.running.stat("cluster.origin.membership_change") == 1
        it.now("127.0.0.3")
        assert it.asked() == ["-3"] * 4
        # The connection to the address that is gone was closed.
        it.running.wait_stat("cluster.origin.upstream_cx_active", 1)
        it.now("127.0.0.2", "127.0.0.3")
        assert sorted(it.asked()) == ["-2", "-2", "-3", "-3"]
        assert it.running.stat("cluster.origin.membership_change") == 3


def test_logical_dns_uses_the_first_address(tmp_path: Path) -> None:
    with named(tmp_path, "LOGICAL_DNS") as it:
        assert it.asked() == ["-2"] * 4
        assert it.running.stat("cluster.origin.membership_total") == 1
        it.now("127.0.0.3")
        assert it.asked() == ["-3"] * 4
        it.running.wait_stat("cluster.origin.upstream_cx_active", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_name_server_changes_nothing(tmp_path: Path, kind: str) -> None:
    with named(tmp_path, kind) as it:
        before = set(it.asked())
        rebuilt = it.running.stat("cluster.origin.membership_change")
        it.names.failing = True
        it.wait_for_update()
        assert set(it.asked()) == before
        assert it.running.stat(f"{UPDATES}failure") >= 1
        assert it.running.stat("cluster.origin.membership_change") == rebuilt
        it.now("127.0.0.3")
        assert it.asked() == ["-3"] * 4


@pytest.mark.parametrize("how", ["no addresses", "no such name"])
def test_strict_dns_forgets_what_is_gone(tmp_path: Path, how: str) -> None:
    with named(tmp_path, "STRICT_DNS") as it:
        assert "-2" in it.asked()
        it.now()
        if how == "no such name":
            del it.names.table["svc.test"]
            it.wait_for_update()
        assert it.asked() == ["503"] * 4
        assert logged(tmp_path, it.running, 8)[-1].startswith("503 UH ")
        it.running.wait_stat("cluster.origin.upstream_cx_active", 0)
        it.now("127.0.0.3")
        assert it.asked() == ["-3"] * 4


@pytest.mark.parametrize("how", ["no addresses", "no such name"])
def test_logical_dns_keeps_what_it_had(tmp_path: Path, how: str) -> None:
    with named(tmp_path, "LOGICAL_DNS") as it:
        assert it.asked() == ["-2"] * 4
        it.now()
        if how == "no such name":
            del it.names.table["svc.test"]
            it.wait_for_update()
        assert it.asked() == ["-2"] * 4
        assert it.running.stat(f"{UPDATES}failure") >= 1


def test_a_response_survives_the_end_of_its_host(tmp_path: Path) -> None:
    """A host leaves the cluster while it answers: the answer comes to its end."""
    with named(tmp_path, "STRICT_DNS") as it:
        port = int(it.running.admin.get("/clusters").text.partition("127.0.0.2:")[2].split(":")[0])

        def serve(wire: Wire) -> None:
            assert wire.message()
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n-4 ")
            it.now("127.0.0.3")
            wire.send(b"end")
            # Nobody will ask here again.
            assert wire.is_ended()

        with serving(serve, ("127.0.0.4", port)):
            it.now("127.0.0.4")
            assert it.asked(1) == ["-4 end"]
            assert it.asked() == ["-3"] * 4
            it.running.wait_stat("cluster.origin.upstream_cx_active", 1)
