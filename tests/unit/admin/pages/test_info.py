import json

import pytest

from tests.unit.admin.fakes import Proxy, get


@pytest.mark.parametrize(
    ("state", "status"),
    [("LIVE", 200), ("DRAINING", 503), ("INITIALIZING", 503), ("PRE_INITIALIZING", 503)],
)
def test_ready_only_when_live(state: str, status: int) -> None:
    answer = get(Proxy(state=state), "/ready")
    assert (answer.status, answer.body) == (status, f"{state}\n")


def test_server_info_is_the_process_own() -> None:
    assert json.loads(get(Proxy(), "/server_info").body) == {"state": "LIVE"}


def test_memory_is_measured() -> None:
    memory = json.loads(get(Proxy(), "/memory").body)
    assert int(memory["total_physical_bytes"]) > int(memory["allocated"]) > 1_000_000
    assert all(isinstance(value, str) for value in memory.values())


def test_what_is_empty() -> None:
    assert get(Proxy(), "/certs").body == '{\n "certificates": []\n}\n'
    assert get(Proxy(), "/init_dump").body == "{}\n"
    assert get(Proxy(), "/hot_restart_version").body == "disabled"
    assert get(Proxy(), "/runtime").body == '{\n "entries": {},\n "layers": []\n}\n'


def test_runtime_layers() -> None:
    layers = [
        {"name": "st", "static_layer": {"a.b": 3.0, "deep": {"er": 5, "est": {"k": "v"}}}},
        {"name": "top", "static_layer": {"a.b": 4, "x": True}},
    ]
    proxy = Proxy(boot={"layered_runtime": {"layers": layers}})
    assert json.loads(get(proxy, "/runtime").body) == {
        "layers": ["st", "top"],
        "entries": {
            "a.b": {"layer_values": ["3", "4"], "final_value": "4"},
            "deep.er": {"layer_values": ["5", ""], "final_value": "5"},
            "deep.est.k": {"layer_values": ["v", ""], "final_value": "v"},
            "x": {"layer_values": ["", "true"], "final_value": "true"},
        },
    }
