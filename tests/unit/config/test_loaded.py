"""What a configuration publishes, and where its fields stand."""

import pytest

from dragoman.config import ConfigError, from_bytes
from tests.unit.config.conftest import Load, codes
from tests.unit.config.texts import OTHER_ADDRESS, bootstrap, cluster, listener, manager

TEXT = f"""\
static_resources:
  clusters:
  - {cluster()}
  - name: d
    connect_timeout: 3s
  listeners:
  - name: l
    address:
      socket_address: {{address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - {manager()}
"""


def test_resources_are_whole_messages_clusters_first(load: Load) -> None:
    resources = load(TEXT).resources()
    assert [(r.kind, r.name) for r in resources] == [
        ("cluster", "c"), ("cluster", "d"), ("listener", "l"),
    ]  # fmt: skip
    message = from_bytes("envoy.config.listener.v3.Listener", resources[2].payload)
    assert message.filter_chains[0].filters[0].name == "hcm"


def test_an_unnamed_listener_gets_a_name_that_stays(load: Load) -> None:
    text = bootstrap(listener(name=""), listener(name="", address=OTHER_ADDRESS))
    names = [r.name for r in load(text).resources() if r.kind == "listener"]
    assert len(set(names)) == 2
    assert all(len(name) == 36 for name in names)
    assert names == [r.name for r in load(text).resources() if r.kind == "listener"]


def test_fields_of_resources_are_found(load: Load) -> None:
    loaded = load(TEXT)
    place = loaded.locate("cluster", "d", "connect_timeout")
    assert (place.line, place.column) == (5, 22)
    place = loaded.locate("listener", "l", "address.socket_address.port_value")
    assert (place.line, place.column) == (9, 56)
    assert loaded.locate("listener", "l", "").line == 7
    assert loaded.locate("listener", "other", "address").line == 1


def test_the_engines_faults_become_diagnostics(load: Load) -> None:
    loaded = load(TEXT)
    assert loaded.ok
    loaded.add_faults([("cluster", "d", "connect_timeout", "too-short", "is too short")])
    (fault,) = loaded.diagnostics
    assert fault.code == "DG0601"
    assert fault.message == "is too short [too-short]"
    assert fault.path == "static_resources.clusters[1].connect_timeout"
    assert (fault.position.line, fault.excerpt) == (5, "    connect_timeout: 3s")
    assert not loaded.ok


def test_require_raises_with_the_errors_only(load: Load) -> None:
    assert load(TEXT).require().ok
    loaded = load(bootstrap(clusters="{name: c, nope: 1, max_requests_per_connection: 1}"))
    assert codes(loaded) == ["DG0102", "DG0501"]
    with pytest.raises(ConfigError) as caught:
        loaded.require()
    assert [d.code for d in caught.value.diagnostics] == ["DG0102"]
    assert "DG0102" in str(caught.value)
