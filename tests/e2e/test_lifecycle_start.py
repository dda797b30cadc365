"""Configurations that can't run: exit 1, the place of the fault, nothing bound or left behind."""

import json
import socket
from pathlib import Path

import pytest

from tests.e2e.proxies import (
    Config,
    Proxy,
    bootstrap,
    cluster,
    listener,
    manager,
    proxy,
)
from tests.e2e.running import DRAGOMAN, free_port, run
from tests.e2e.wire import answering, serving


def start(folder: Path, config: Config | str) -> tuple[int, str]:
    """The exit code and what was said of a configuration that doesn't run."""
    path = folder / "faulty.yaml"
    path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
    done = run("-c", path)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


FAULTY = """\
admin:
  address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}
static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: {web}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                route: {{cluster: nowhere}}
              - match: {{safe_regex: {{regex: "("}}}}
                redirect: {{}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATICK
"""  # noqa: E501


def test_all_faults_with_their_places_and_nothing_bound(tmp_path: Path) -> None:
    admin, web = free_port(), free_port()
    path = tmp_path / "admin-address"
    config = tmp_path / "faulty.yaml"
    config.write_text(FAULTY.format(admin=admin, web=web))
    done = run("-c", config, "--admin-address-path", path)
    assert done.returncode == 1
    for line, word in ((19, "nowhere"), (28, "STATICK")):
        assert f"{config}:{line}:" in done.stderr, done.stderr
        assert f"{word}" in done.stderr
    assert "Traceback" not in done.stderr
    assert is_free(admin)
    assert is_free(web)
    assert not path.exists()


def test_what_only_the_engine_can_refuse(tmp_path: Path) -> None:
    """Faults that are found when everything is put together have their places too."""
    admin, web = free_port(), free_port()
    config = FAULTY.replace("STATICK", "STATIC").replace("nowhere", "origin")
    code, said = start(tmp_path, config.format(admin=admin, web=web))
    assert code == 1
    assert "faulty.yaml:20:" in said, said
    assert is_free(web)


#: Each list holds the one before twice.
BOMB = "l0: &l0 [x, x]\n" + "".join(f"l{n + 1}: &l{n + 1} [*l{n}, *l{n}]\n" for n in range(40))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("static_resources: [", "faulty.yaml:2:1"),
        ("a: b\n\tc: d\n", "faulty.yaml:2:1"),
        ("- a\n- b\n", "faulty.yaml:1:1"),
        ("just words\n", "faulty.yaml:1:1"),
        ("static_resources: {}\nstatic_resources: {}\n", "faulty.yaml:2:1"),
        ("static_resourcs: {}\n", "static_resources"),
        ("a: &a [*a]\n", "faulty.yaml:1:"),
        ("\x00", "faulty.yaml:1:1"),
        ("node: {metadata: " + "[" * 20_000 + "]" * 20_000 + "}\n", "faulty.yaml:1:"),
        (BOMB, "faulty.yaml:"),
    ],
    ids=["open", "tab", "list", "scalar", "twice", "typo", "loop", "nul", "deep", "bomb"],
)
def test_texts_that_are_no_configuration(tmp_path: Path, text: str, said: str) -> None:
    code, found = start(tmp_path, text)
    assert code == 1
    assert "error" in found
    assert said in found, found[:2000]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_bytes(b"\xff\xfe\x80" * 10)
    done = run("-c", path)
    assert done.returncode == 1
    assert "faulty.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    done = run("-c", tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_configuration_runs(tmp_path: Path) -> None:
    with proxy(tmp_path, bootstrap([], [])) as running:
        assert running.listeners() == {}


def test_two_listeners_on_one_address(tmp_path: Path) -> None:
    port = free_port()
    twice = [listener(manager(), port, name) for name in ("one", "two")]
    code, said = start(tmp_path, bootstrap(twice, [cluster(1)]))
    assert code == 1
    assert "listener" in said
    assert "one" in said
    assert "two" in said
    assert str(port) in said
    assert is_free(port)


def test_two_listeners_on_one_pipe(tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    twice = [listener(manager(), path, name) for name in ("one", "two")]
    code, said = start(tmp_path, bootstrap(twice, [cluster(1)]))
    assert code == 1
    assert "two" in said
    assert path in said


def test_two_listeners_with_one_name(tmp_path: Path) -> None:
    twice = [listener(manager(), 0, "web") for _ in range(2)]
    code, said = start(tmp_path, bootstrap(twice, [cluster(1)]))
    assert code == 1
    assert "web" in said


def test_one_port_on_two_addresses(tmp_path: Path) -> None:
    port = free_port()
    both = [listener(manager(), (f"127.0.0.{n}", port), name=f"l{n}") for n in (1, 2)]
    with serving(answering()) as origin:
        config = bootstrap(both, [cluster(origin.port)])
        with proxy(tmp_path, config) as running:
            assert running.connect("l1").get().status == 200
            assert running.connect("l2").get().status == 200


def test_the_second_listeners_port_is_taken(tmp_path: Path) -> None:
    """All or nothing: the first listener's port is free again."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        taken = foreign.getsockname()[1]
        listeners = [listener(manager(), port, "one"), listener(manager(), taken, "two")]
        code, said = start(tmp_path, bootstrap(listeners, [cluster(1)]))
    assert code == 1
    assert "listener 'two'" in said
    assert "address already in use" in said
    assert is_free(port)


def test_another_proxy_on_the_same_port(tmp_path: Path) -> None:
    """As with Envoy, processes of one user may share a port: that is how one replaces another."""
    with serving(answering()) as origin:
        config = bootstrap([listener(manager())], [cluster(origin.port)])
        with proxy(tmp_path, config) as first:
            _, port = first.address()
            other = tmp_path / "other"
            other.mkdir()
            again = bootstrap([listener(manager(), int(port))], [cluster(origin.port)])
            with proxy(other, again) as second:
                assert second.address() == first.address()
                assert {second.connect().get().status for _ in range(20)} == {200}
            assert first.connect().get().status == 200


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    code, said = start(
        tmp_path, bootstrap([listener(manager(), ("192.0.2.1", 10_000))], [cluster(1)])
    )
    assert code == 1
    assert "192.0.2.1:10000" in said
    assert "assign requested address" in said.lower()


def test_no_descriptors_left_at_the_start(tmp_path: Path) -> None:
    """Too few to run at all is said, not thrown."""
    limited = ["sh", "-c", 'ulimit -n 12 && exec "$@"', "sh", *DRAGOMAN]
    config = bootstrap([listener(manager(), 0, f"l{n}") for n in range(20)], [cluster(1)])
    with pytest.raises(AssertionError) as refused:
        Proxy(tmp_path, config, limited)
    assert "many open files" in str(refused.value).lower()
