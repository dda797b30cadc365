"""Dragoman's admin page beside a real Envoy's: same configuration, same requests, same answers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.differential.proxy import find_envoy

HEADERS = ("content-type", "cache-control", "x-content-type-options", "server")

CONFIG = """
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
stats_flush_interval: 1s
static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            name: routes
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /gone}}
                direct_response: {{status: 410}}
              - match: {{prefix: /}}
                route: {{cluster: origin}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
"""  # noqa: E501


LISTEN_ANYWHERE = re.compile(r"(- name: web\n.*port_value: )0(})")
COMPLETED = "cluster.origin.upstream_rq_completed"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


class Running:
    """One proxy process on the configuration, with its admin page and its listener."""

    def __init__(self, command: list[str], config: Path, folder: Path) -> None:
        self.log = folder / "log"
        # Envoy's names of a listener's metrics hold the port as configured, so not 0.
        own = folder / "own.yaml"
        own.write_text(LISTEN_ANYWHERE.sub(rf"\g<1>{free_port()}\2", config.read_text()))
        where = folder / "admin"
        self._log = self.log.open("w")
        self.process = subprocess.Popen(
            [*command, "-c", own, "--concurrency", "1", "--admin-address-path", where],
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self.wait(lambda: where.exists() and bool(where.read_text()))
        except BaseException:
            self._log.close()
            raise
        self.admin = httpx.Client(base_url=f"http://{where.read_text()}", timeout=10)
        self.wait(lambda: self.admin.get("/ready").status_code == 200)
        self.web = "http://" + self.admin.get("/listeners").text.strip().rpartition("::")[2]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Waits, bounded, until `condition` holds."""
        for _ in range(200):
            assert self.process.poll() is None, self.log.read_text()
            if condition():
                return
            time.sleep(0.05)
        pytest.fail(f"waited in vain:\n{self.log.read_text()}")

    def stats(self, pattern: str = "") -> dict[str, str]:
        """Counters and gauges by name."""
        text = self.admin.get("/stats", params={"filter": pattern}).text
        return dict(line.split(": ", 1) for line in text.splitlines())

    def end(self) -> int:
        """Ends the process if it runs, and gives its exit code."""
        self.admin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        self._log.close()
        return code


def wait_for_requests(running: Running, count: str) -> None:
    running.wait(lambda: running.stats(COMPLETED) == {COMPLETED: count})


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path_factory.mktemp("config") / "envoy.yaml"
    path.write_text(CONFIG.format(port=server.server_address[1]))
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


DRAGOMAN = [sys.executable, "-m", "dragoman"]


@pytest.fixture
def dragoman(config: Path, tmp_path: Path) -> Iterator[Running]:
    running = Running(DRAGOMAN, config, tmp_path)
    yield running
    running.end()


@pytest.fixture(scope="module")
def both(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """[a real Envoy, Dragoman], after the same few requests."""
    commands = ([str(find_envoy()), "--disable-hot-restart"], DRAGOMAN)
    pair = [Running(list(c), config, tmp_path_factory.mktemp("run")) for c in commands]
    for running in pair:
        with httpx.Client(base_url=running.web) as client:
            for path in ["/"] * 5 + ["/missing"] * 2 + ["/gone"]:
                client.get(path)
        wait_for_requests(running, "7")
    yield pair
    for running in pair:
        assert running.end() == 0


def headers_of(answer: httpx.Response) -> list[set[str]]:
    """Values by header. Envoy sends some of them twice in its config dump's errors."""
    return [set(answer.headers.get_list(name, split_commas=True)) for name in HEADERS]


SAME_ANSWER = [
    ("GET", "/ready"),
    ("DELETE", "/ready"),
    ("GET", "/stats?type=foo"),
    ("GET", "/stats?format=foo"),
    ("GET", "/stats?filter=^server.(live|state|concurrency)$"),
    ("GET", "/stats?filter=^server.live$&format=json"),
    ("GET", "/stats?filter=^http.ingress.downstream_rq_([1-5]xx|total|completed)$"),
    ("GET", "/stats?filter=^cluster.origin.upstream_rq_([0-9]*|[1-5]xx|total|completed)$"),
    ("GET", "/stats/prometheus?filter=^cluster.origin.upstream_rq_([0-9]*|.xx|total)$"),
    ("GET", "/stats/prometheus?filter=^http.ingress.downstream_rq_(.xx|total)$"),
    ("GET", "/stats?filter=nothing&format=json"),
    ("GET", "/stats/prometheus?histogram_buckets=disjoint"),
    ("GET", "/clusters?filter=(x"),
    ("GET", "/config_dump?resource=foo"),
    ("GET", "/config_dump?resource=bootstrap"),
    ("GET", "/config_dump?mask=foo"),
    ("GET", "/config_dump?resource=static_clusters&mask=cluster.name,cluster.load_assignment"),
    ("GET", "/config_dump?resource=static_listeners&mask=listener.name,listener.filter_chains"),
    ("GET", "/config_dump?resource=static_route_configs&mask=route_config.name"),
    ("GET", "/certs"),
    ("GET", "/runtime"),
    ("GET", "/init_dump"),
    ("GET", "/hot_restart_version"),
    ("GET", "/logging"),
    ("PUT", "/reset_counters"),
    ("GET", "/quitquitquit"),
    ("POST", "/reopen_logs"),
    ("POST", "/healthcheck/ok"),
    ("POST", "/logging"),
    ("POST", "/logging?level=warning"),
    ("POST", "/logging?paths=http:debug,admin:error"),
]


@pytest.mark.parametrize(("method", "target"), SAME_ANSWER)
def test_the_same_answer(both: list[Running], method: str, target: str) -> None:
    envoy, ours = (running.admin.request(method, target) for running in both)
    assert ours.status_code == envoy.status_code
    if ours.headers["content-type"] == "application/json":
        # Protobuf's JSON has no order of its own.
        assert ours.json() == envoy.json()
    else:
        assert ours.text == envoy.text
    assert headers_of(ours) == headers_of(envoy)


@pytest.mark.parametrize("target", ["/", "/help", "/zzz", "/stats?format=html", "/server_info"])
def test_the_same_kind_of_answer(both: list[Running], target: str) -> None:
    envoy, ours = (running.admin.get(target) for running in both)
    assert ours.status_code == envoy.status_code
    assert headers_of(ours) == headers_of(envoy)


@pytest.mark.parametrize("target", ["/listeners", "/listeners?format=json"])
def test_listeners_but_for_the_port(both: list[Running], target: str) -> None:
    envoy, ours = (
        running.admin.get(target).text.replace(running.web.rpartition(":")[2], "PORT")
        for running in both
    )
    assert ours == envoy


def test_clusters_as_text(both: list[Running]) -> None:
    """Same rows in the same order; how many connections were opened is each proxy's affair."""
    envoy, ours = (running.admin.get("/clusters").text for running in both)
    opened = re.compile(r"::cx_(active|total)::\d+")
    assert opened.sub("", ours) == opened.sub("", envoy)


def test_clusters_as_json(both: list[Running]) -> None:
    def shape(running: Running) -> object:
        page = running.admin.get("/clusters?format=json").json()
        for stat in page["cluster_statuses"][0]["host_statuses"][0]["stats"]:
            if stat["name"].startswith("cx_"):
                stat.pop("value", None)
        return page

    assert shape(both[1]) == shape(both[0])


def test_every_metric_that_was_written_is_one_of_envoys(both: list[Running]) -> None:
    def names(running: Running, target: str) -> set[str]:
        port = running.web.rpartition(":")[2]
        text = running.admin.get(target).text.replace(port, "PORT")
        return {line.partition(": ")[0] for line in text.splitlines()}

    envoy, ours = names(both[0], "/stats"), names(both[1], "/stats?usedonly")
    # Per-route and per-endpoint metrics are there without being asked for.
    own = {name for name in ours if name.startswith("vhost.") or ".endpoint." in name}
    assert sorted(ours - envoy - own) == []


def test_json_pages_have_envoys_fields(both: list[Running]) -> None:
    for target in ("/server_info", "/memory"):
        envoy, ours = (running.admin.get(target).json() for running in both)
        assert ours.keys() == envoy.keys()


def test_the_config_dump_has_the_same_sections(both: list[Running]) -> None:
    envoy, ours = (running.admin.get("/config_dump?include_eds").json() for running in both)
    assert [c["@type"] for c in ours["configs"]] == [c["@type"] for c in envoy["configs"]]
    for mine, theirs in zip(ours["configs"], envoy["configs"], strict=True):
        assert mine.keys() == theirs.keys()


def test_health_check_failure_is_a_drain(dragoman: Running) -> None:
    assert dragoman.admin.post("/healthcheck/fail").text == "OK\n"
    ready = dragoman.admin.get("/ready")
    assert (ready.status_code, ready.text) == (503, "DRAINING\n")
    assert dragoman.stats("^server.(live|state)$") == {"server.live": "0", "server.state": "1"}
    dragoman.admin.post("/healthcheck/ok")
    assert dragoman.admin.get("/ready").status_code == 200


def test_reset_counters(dragoman: Running) -> None:
    httpx.get(dragoman.web)
    name = "http.ingress.downstream_rq_total"
    dragoman.wait(lambda: dragoman.stats(name) == {name: "1"})
    assert dragoman.admin.post("/reset_counters").text == "OK\n"
    assert dragoman.stats(name) == {name: "0"}


def test_draining_listeners_stops_accepting(dragoman: Running) -> None:
    assert httpx.get(dragoman.web).status_code == 200
    assert dragoman.admin.post("/drain_listeners").text == "OK\n"

    def refused() -> bool:
        try:
            httpx.get(dragoman.web)
        except httpx.TransportError:
            return True
        return False

    dragoman.wait(refused)
    assert dragoman.admin.get("/ready").status_code == 200


def test_quitquitquit_answers_then_ends(dragoman: Running) -> None:
    assert dragoman.admin.post("/quitquitquit").text == "OK\n"
    assert dragoman.process.wait(timeout=10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_process_cleanly(dragoman: Running, number: signal.Signals) -> None:
    dragoman.process.send_signal(number)
    assert dragoman.process.wait(timeout=10) == 0
    log = dragoman.log.read_text()
    assert f"caught {number.name}" in log
    assert "Traceback" not in log


def test_sighup_is_ignored(dragoman: Running) -> None:
    dragoman.process.send_signal(signal.SIGHUP)
    assert dragoman.admin.get("/ready").status_code == 200


def test_sigusr1_reopens_the_log(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "dragoman.log"
    running = Running(
        [*DRAGOMAN, "--log-path", str(log), "--log-format", "%l %v"], config, tmp_path
    )
    try:
        log.rename(tmp_path / "old.log")
        running.process.send_signal(signal.SIGUSR1)
        running.wait(log.exists)
        running.admin.get("/logging")
        running.wait(lambda: 'error admin path "/logging"' in log.read_text())
    finally:
        assert running.end() == 0


def test_percentiles_of_routes_and_endpoints(dragoman: Running) -> None:
    httpx.get(dragoman.web)
    dragoman.wait(
        lambda: bool(dragoman.admin.get("/dragoman/percentiles?format=json").json()["histograms"])
    )


def test_a_page_on_a_unix_socket(config: Path, tmp_path: Path) -> None:
    text = config.read_text()
    path = tmp_path / "admin.sock"
    where = "{socket_address: {address: 127.0.0.1, port_value: 0}}}\nstats"
    assert where in text
    piped = tmp_path / "piped.yaml"
    piped.write_text(text.replace(where, f"{{pipe: {{path: {path}}}}}}}\nstats"))
    process = subprocess.Popen([*DRAGOMAN, "-c", piped], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.05)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get("http://admin/ready").text == "LIVE\n"
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DRAGOMAN, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )


def test_validate_says_ok_like_envoy(config: Path) -> None:
    done = run("--mode", "validate", "-c", config)
    assert (done.returncode, done.stdout) == (0, f"configuration '{config}' OK\n")
    assert run("validate", config).returncode == 0


def test_init_only_ends_at_once(config: Path) -> None:
    assert run("--mode", "init_only", "-c", config).returncode == 0


def test_a_faulty_configuration(config: Path, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(config.read_text().replace("stat_prefix", "stat_prefxi"))
    for arguments in (["-c", faulty], ["--mode", "validate", "-c", faulty], ["validate", faulty]):
        done = run(*arguments)
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert re.search(r"faulty\.yaml:\d+:\d+", said), said
        assert "stat_prefix" in said
        assert "Traceback" not in said
    found = json.loads(run("validate", faulty, "--format", "json").stdout)
    assert found


def test_a_missing_file(tmp_path: Path) -> None:
    done = run("-c", tmp_path / "nope.yaml")
    assert done.returncode == 1
    assert "nope.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_in_use_names_listener_address_and_holder(config: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.yaml"
    head, resources = config.read_text().split("static_resources:")
    # A foreign listener: Dragoman's own would share the port (SO_REUSEPORT).
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        listeners = resources.replace("port_value: 0", f"port_value: {port}", 1)
        taken.write_text(f"{head}static_resources:{listeners}")
        done = run("-c", taken)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert f"listener 'web': cannot bind '127.0.0.1:{port}': address already in use" in said
    assert f"(pid {os.getpid()})" in said
    assert "Traceback" not in done.stderr


def test_a_taken_admin_address(dragoman: Running, config: Path, tmp_path: Path) -> None:
    port = dragoman.admin.base_url.port
    taken = tmp_path / "taken.yaml"
    taken.write_text(config.read_text().replace("port_value: 0", f"port_value: {port}", 1))
    done = run("-c", taken)
    assert done.returncode == 1
    assert f"admin page: cannot bind '127.0.0.1:{port}': address already in use" in done.stderr
    assert f"(pid {dragoman.process.pid}) listens there" in done.stderr


def test_allow_paths(config: Path, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.yaml"
    rules = "admin: {allow_paths: [{prefix: /ready}, {prefix: /listeners}], address"
    narrow.write_text(config.read_text().replace("admin: {address", rules))
    running = Running(DRAGOMAN, narrow, tmp_path)
    try:
        refused = running.admin.get("/stats?x")
        assert (refused.status_code, refused.text) == (403, "request to path /stats?x not allowed")
    finally:
        assert running.end() == 0


def test_options_without_effect_are_said(config: Path, tmp_path: Path) -> None:
    running = Running([*DRAGOMAN, "--base-id", "3", "--enable-core-dump"], config, tmp_path)
    try:
        log = running.log.read_text()
        assert "--base-id has no effect: " in log
        assert "--enable-core-dump has no effect: " in log
        info = running.admin.get("/server_info").json()
        assert info["command_line_options"]["base_id"] == "3"
    finally:
        assert running.end() == 0
