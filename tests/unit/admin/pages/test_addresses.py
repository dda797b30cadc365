import pytest

from dragoman.admin.pages.addresses import to_json


@pytest.mark.parametrize("path", ["/run/a:80", "@abstract", "relative"])
def test_pipes(path: str) -> None:
    assert to_json(path) == {"pipe": {"path": path}}


def test_sockets() -> None:
    assert to_json("[fe80::1]:8080") == {
        "socket_address": {"address": "fe80::1", "port_value": 8080}
    }
