"""Unix domain sockets on both sides, abstract ones too, and ports that the kernel chooses."""

import socket
import stat
from pathlib import Path

import pytest

from tests.e2e.proxies import (
    Proxy,
    bootstrap,
    cluster,
    endpoint,
    listener,
    manager,
    proxy,
)
from tests.e2e.wire import Server, answering, connect, path_of, serving

BIG = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000


def abstract(folder: Path, name: str) -> str:
    """A name nobody else has."""
    return f"@{folder}/{name}"


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_pipes_on_both_sides(tmp_path: Path, kind: str) -> None:
    def where(name: str) -> str:
        return abstract(tmp_path, name) if kind == "abstract" else str(tmp_path / name)

    web = listener(manager(), where("web.sock"))
    config = bootstrap([web], [cluster(where("origin.sock"))])
    with (
        serving(answering(BIG), where("origin.sock")),
        proxy(tmp_path, config) as running,
        running.connect() as client,
    ):
        assert running.listeners()["web"] == where("web.sock")
        for _ in range(5):
            assert len(client.get().body) == 1_000_000
        assert running.stat("cluster.origin.upstream_cx_total") == 1
        row = running.admin.get("/clusters").text
        assert f"origin::{where('origin.sock')}::cx_active::1" in row
        running.wait_idle()


def test_nothing_listens_on_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "origin.sock"
    config = bootstrap([listener(manager())], [cluster(str(path))])
    with proxy(tmp_path, config) as running, running.connect() as client:
        assert client.get().status == 503
        origin = Server(answering(), str(path))
        try:
            assert client.get().status == 200
        finally:
            origin.close()
        # The file is still there, and nobody behind it.
        assert client.get().status == 503
        running.wait_idle()


def test_a_mixed_cluster(tmp_path: Path) -> None:
    path = str(tmp_path / "one.sock")
    with serving(answering(), path) as one, serving(answering()) as two:
        config = bootstrap([listener(manager())], [cluster(endpoint(path), endpoint(two.port))])
        with proxy(tmp_path, config) as running, running.connect() as client:
            assert [client.get().status for _ in range(4)] == [200] * 4
            assert len(one.wires) == len(two.wires) == 1


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.is_socket()
    config = bootstrap([listener(manager(), str(path))], [cluster(1)])
    with proxy(tmp_path, config) as running:
        assert running.connect().get().status == 503


def test_a_killed_proxys_socket_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    config = bootstrap([listener(manager(), str(path))], [cluster(1)])
    first = Proxy(tmp_path, config)
    first.process.kill()
    first.process.wait()
    first.end()
    assert path.is_socket()
    with proxy(tmp_path, config) as running:
        assert running.connect().get().status == 503


def test_a_socket_file_that_somebody_uses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    config = bootstrap([listener(manager(), str(path))], [cluster(1)])
    with serving(answering(), str(path)):
        with pytest.raises(AssertionError, match="address already in use"):
            Proxy(tmp_path, config)
        with connect(str(path)) as client:
            assert client.get().status == 200


def test_the_mode_of_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    web = listener(manager(), str(path))
    web["address"]["pipe"]["mode"] = 0o660
    with proxy(tmp_path, bootstrap([web], [cluster(1)])):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 120))
    with pytest.raises(AssertionError, match="error") as refused:
        Proxy(tmp_path, bootstrap([listener(manager(), path)], [cluster(1)]))
    assert "Traceback" not in str(refused.value)


def test_two_workers_share_a_pipe(tmp_path: Path) -> None:
    path = abstract(tmp_path, "web")
    with serving(answering()) as origin:
        config = bootstrap([listener(manager(), path)], [cluster(origin.port)])
        with proxy(tmp_path, config, workers=2) as running:
            clients = [running.connect() for _ in range(20)]
            assert {client.get().status for client in clients} == {200}


def test_ports_that_the_kernel_chooses(tmp_path: Path) -> None:
    """Every listener has its own, each worker listens there, and /listeners tells it."""
    names = ["one", "two", "three"]
    listeners = [listener(manager(), name=name) for name in names]
    with serving(answering()) as origin:
        config = bootstrap(listeners, [cluster(origin.port)])
        with proxy(tmp_path, config, workers=2) as running:
            addresses = [running.address(name) for name in names]
            assert len(set(addresses)) == 3
            for name in names * 3:
                assert running.connect(name).get().status == 200
            shown = running.admin.get("/listeners?format=json").json()["listener_statuses"]
            ports = {row["local_address"]["socket_address"]["port_value"] for row in shown}
            assert ports == {where[1] for where in addresses}


def test_ipv6(tmp_path: Path) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    config = bootstrap([listener(manager(), ("::1", 0))], [cluster(1)])
    with proxy(tmp_path, config) as running:
        assert running.listeners()["web"].startswith("[::1]:")
        assert running.connect().get().status == 503


def test_abstract_names_leave_no_file(tmp_path: Path) -> None:
    name = abstract(tmp_path, "web")
    with proxy(tmp_path, bootstrap([listener(manager(), name)], [cluster(1)])) as running:
        assert running.connect().get().status == 503
        assert not [entry for entry in tmp_path.iterdir() if "@" in entry.name]
    with socket.socket(socket.AF_UNIX) as free:
        # Nobody holds it any more.
        free.bind(path_of(name))
