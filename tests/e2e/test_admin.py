"""Dragoman's admin page beside a real Envoy's: same configuration, same requests, same answers."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.differential.proxy import find_envoy
from tests.e2e.running import DRAGOMAN, Running

HEADERS = ("content-type", "cache-control", "x-content-type-options", "server")
COMPLETED = "cluster.origin.upstream_rq_completed"


def wait_for_requests(running: Running, count: str) -> None:
    running.wait(lambda: running.stats(COMPLETED) == {COMPLETED: count})


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


@pytest.mark.parametrize("query", ["", "?graceful", "?inboundonly"])
def test_draining_listeners(config: Path, tmp_path: Path, query: str) -> None:
    inbound = tmp_path / "inbound.yaml"
    text = config.read_text()
    inbound.write_text(
        text.replace("- name: web\n", "- name: web\n    traffic_direction: INBOUND\n")
    )
    running = Running([*DRAGOMAN, "--drain-time-s", "1"], inbound, tmp_path)

    def refused() -> bool:
        try:
            httpx.get(running.web)
        except httpx.ConnectError:
            return True
        return False

    try:
        assert not refused()
        assert running.admin.post(f"/drain_listeners{query}").text == "OK\n"
        running.wait(refused)
        assert running.admin.get("/ready").status_code == 200
    finally:
        assert running.end() == 0


def test_outbound_listeners_stay(dragoman: Running) -> None:
    assert dragoman.admin.post("/drain_listeners?inboundonly").text == "OK\n"
    assert httpx.get(dragoman.web).status_code == 200


def test_quitquitquit_answers_then_ends(dragoman: Running) -> None:
    assert dragoman.admin.post("/quitquitquit").text == "OK\n"
    assert dragoman.process.wait(timeout=10) == 0


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
