import errno

import pytest

from dragoman.server.trouble import cannot_bind, cannot_open


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        (
            "127.0.0.1:80",
            errno.EADDRINUSE,
            "listener 'web': cannot bind '127.0.0.1:80': address already in use;"
            " nginx (pid 7) listens there",
        ),
        (
            "/run/x.sock",
            errno.EADDRINUSE,
            "listener 'web': cannot bind '/run/x.sock': address already in use",
        ),
        (
            "0.0.0.0:443",
            errno.EACCES,
            "listener 'web': cannot bind '0.0.0.0:443': permission denied; ports below 1024 need"
            " CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start",
        ),
        (
            "10.9.9.9:8080",
            errno.EADDRNOTAVAIL,
            "listener 'web': cannot bind '10.9.9.9:8080': cannot assign requested address;"
            " no interface of this machine has it",
        ),
        (
            "/root/x.sock",
            errno.EACCES,
            "listener 'web': cannot bind '/root/x.sock': permission denied",
        ),
    ],
)
def test_binding(address: str, code: int, text: str) -> None:
    error = cannot_bind("listener 'web'", address, code, lambda _port: "nginx (pid 7)")
    assert str(error) == text


def test_in_use_by_somebody_unseen() -> None:
    error = cannot_bind("admin page", "[::1]:9901", errno.EADDRINUSE, lambda _port: None)
    assert str(error) == "admin page: cannot bind '[::1]:9901': address already in use"


def test_files() -> None:
    error = cannot_open("log file", "/x/y", FileNotFoundError(errno.ENOENT, "whatever"))
    assert str(error) == "log file '/x/y': no such file or directory"
