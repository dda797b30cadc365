import json

from tests.unit.admin.fakes import Engine, Listener, Proxy, get


def proxy() -> Proxy:
    several = Listener("t", ["/run/t.sock", "[::1]:81"])
    return Proxy(Engine(listener_list=[Listener("l", ["127.0.0.1:80"]), several]))


def test_a_line_per_address() -> None:
    lines = "l::127.0.0.1:80\nt::/run/t.sock\nt::[::1]:81\n"
    assert get(proxy(), "/listeners").body == lines
    assert get(proxy(), "/listeners?format=foo").body == lines


def test_json() -> None:
    assert json.loads(get(proxy(), "/listeners?format=json").body) == {
        "listener_statuses": [
            {
                "name": "l",
                "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}},
            },
            {
                "name": "t",
                "local_address": {"pipe": {"path": "/run/t.sock"}},
                "additional_local_addresses": [
                    {"socket_address": {"address": "::1", "port_value": 81}}
                ],
            },
        ]
    }
