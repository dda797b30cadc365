import errno
import socket
from pathlib import Path

import pytest

from dragoman.admin import listen


def at(host: str, port: int = 0) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")])
def test_ip_addresses_accept_at_once(host: str, start: str) -> None:
    with listen.bind(at(host)) as listening:
        text = listen.address_text(listening)
        assert text.startswith(start)
        assert not text.endswith(":0")
        with socket.create_connection((host, listening.getsockname()[1]), timeout=5):
            pass


def test_an_address_in_use() -> None:
    with listen.bind(at("127.0.0.1")) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError) as error:
            listen.bind(at("127.0.0.1", port))
    assert error.value.errno == errno.EADDRINUSE


def test_a_pipe_replaces_what_a_dead_process_left(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    address = {"pipe": {"path": str(path), "mode": 0o600}}
    listen.bind(address).close()
    assert path.exists()
    with listen.bind(address) as again:
        assert listen.address_text(again) == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError) as error:
            listen.bind(address)
    assert error.value.errno == errno.EADDRINUSE


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(OSError):
        listen.bind({"pipe": {"path": str(path)}})
    assert path.read_text() == "mine"


def test_abstract_sockets() -> None:
    with listen.bind({"pipe": {"path": "@dragoman-test-listen"}}) as listening:
        assert listen.address_text(listening) == "@dragoman-test-listen"


def test_other_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"admin\.address"):
        listen.bind({"envoy_internal_address": {}})
