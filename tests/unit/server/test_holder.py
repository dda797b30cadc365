import os
import socket
from pathlib import Path

import pytest

from dragoman.server.holder import port_holder


def test_this_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        holder = port_holder(listening.getsockname()[1])
    assert holder is not None
    assert f"(pid {os.getpid()})" in holder


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        assert port_holder(listening.getsockname()[1]) is not None


def test_a_free_port_has_no_holder() -> None:
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        assert port_holder(bound_only.getsockname()[1]) is None


def test_without_proc_there_is_no_answer(tmp_path: Path) -> None:
    assert port_holder(80, tmp_path) is None
