"""HTTP/2 with real peers: h2spec, curl, and a second hop."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.http2 import http2, protocol, two_hops
from tests.e2e.proxies import Proxy, bootstrap, cluster, listener, manager, proxy
from tests.e2e.tls import FOLDER, chain, downstream, trusting, upstream
from tests.e2e.wire import Message, Wire, answering, serving

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dragoman" / "tools"


#: h2spec leaves cases out that need more than a few bytes
LONG_ENOUGH = b"HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz"


def _curl_speaks_http2() -> bool:
    if shutil.which("curl") is None:
        return False
    told = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False)
    return "HTTP2" in told.stdout


curl = pytest.mark.skipif(not _curl_speaks_http2(), reason="there is no curl with HTTP/2")


def h2spec() -> Path:
    """The conformance tester, built once into the user's cache."""
    found = TOOLS / "h2spec"
    if found.exists():
        return found
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("h2spec is a Go module, and there is no Go")
    TOOLS.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"GOBIN": str(TOOLS), "GOFLAGS": "-mod=mod"}
    built = subprocess.run(
        [go, "install", H2SPEC], env=environment, capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        pytest.skip(f"h2spec can't be built: {built.stderr}")
    return found


@pytest.fixture
def spoken(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, list[str]]]:
    """A proxy for h2spec, and the tester's arguments for its transport."""
    socket, arguments = None, []
    if request.param == "TLS":
        socket = downstream("a-ecdsa", common={"alpn_protocols": ["h2"]})
        arguments = ["-t", "-k"]
    hcm = manager(codec_type="HTTP2")
    web = listener(hcm) | {"filter_chains": [chain(hcm, socket)]}
    with (
        serving(answering(LONG_ENOUGH)) as origin,
        proxy(tmp_path, bootstrap([web], [cluster(origin.port)])) as running,
    ):
        yield running, arguments


@pytest.mark.parametrize("spoken", ["plain", "TLS"], indirect=True)
def test_h2spec(spoken: tuple[Proxy, list[str]]) -> None:
    running, arguments = spoken
    host, port = running.address()
    command = [h2spec(), "--strict", "-h", host, "-p", port, "-o", "20", *arguments]
    told = subprocess.run(
        [*map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    ).stdout  # fmt: skip
    failed = [line.strip() for line in told.splitlines() if line.strip().startswith("×")]
    assert failed == [], told[-3000:]
    assert re.search(r"(\d+) tests, \1 passed, 0 skipped, 0 failed", told), told[-200:]


def echo(wire: Wire) -> None:
    """Answers with the request's body, or its target."""
    while message := wire.message():
        wire.send(_answer(message))


def _answer(message: Message) -> bytes:
    body = message.body or message.target.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _curl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = ["curl", "-sS", "--max-time", "30", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, timeout=60, check=False)


SPOKEN = pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])


@curl
@SPOKEN
def test_bodies_pass_two_hops_whole(tmp_path: Path, version: str) -> None:
    body = bytes(range(256)) * 12_288
    (tmp_path / "body").write_bytes(body)
    with (
        serving(echo) as origin,
        proxy(tmp_path, two_hops(tmp_path, origin.port)) as running,
    ):
        url = "http://{}:{}/up".format(*running.address())
        told = _curl(version, "--data-binary", f"@{tmp_path / 'body'}", "-H", "expect:", url)
        assert told.returncode == 0, told.stderr
        assert hashlib.sha256(told.stdout).digest() == hashlib.sha256(body).digest()
        told = _curl(version, "-w", " %{http_version}", url)
        assert told.stdout == b"/up " + (b"1.1" if "1.1" in version else b"2")
        assert _curl(version, "-I", url).returncode == 0
        assert running.stat("cluster.hop.upstream_cx_http2_total") == 1
        assert running.stat("http.hop.downstream_rq_http2_total") == 3


@curl
def test_many_requests_share_the_connection_to_a_host(tmp_path: Path) -> None:
    def get(number: int) -> bytes:
        host, port = running.address()
        return _curl("--http2-prior-knowledge", f"http://{host}:{port}/{number}").stdout

    with (
        serving(echo) as origin,
        proxy(tmp_path, two_hops(tmp_path, origin.port)) as running,
    ):
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(get, range(64))) == [b"/%d" % n for n in range(64)]
        assert running.stat("cluster.hop.upstream_cx_total") == 1
        running.wait_idle("hop")
        running.wait_stat("http.ingress.downstream_cx_http2_active", 0)
        running.wait_stat("http2.streams_active", 0)


@curl
@pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1"]], ids=["h2", "http/1.1"])
def test_alpn_decides_towards_clients_and_hosts(tmp_path: Path, offered: list[str]) -> None:
    """`auto_config`: the host picks; the same on the client's side."""
    hop = tmp_path / "hop"
    secured = downstream("a-ecdsa", common={"alpn_protocols": offered})
    auto = protocol(auto_config={"http_protocol_options": {}, "http2_protocol_options": {}})
    to_hop = [{"match": {"prefix": "/"}, "route": {"cluster": "hop"}}]
    web, second = listener(manager(to_hop)), listener(manager(stat_prefix="hop"), str(hop), "hop")
    web["filter_chains"] = [chain(manager(to_hop), secured)]
    second["filter_chains"] = [chain(manager(stat_prefix="hop"), secured)]
    trust = upstream({"validation_context": trusting()}, sni="a.example.com")
    with serving(echo) as origin:
        to_host = cluster(
            str(hop), name="hop", typed_extension_protocol_options=auto, transport_socket=trust
        )
        config = bootstrap([web, second], [cluster(origin.port), to_host])
        with proxy(tmp_path, config) as running:
            host, port = running.address()
            where = ["--cacert", FOLDER / "ca.pem", "--resolve", f"a.example.com:{port}:{host}"]
            url = f"https://a.example.com:{port}/x"
            told = _curl("--http2", *where, "-w", " %{http_version}", url)
            spoken = b"2" if "h2" in offered else b"1.1"
            assert told.stdout == b"/x " + spoken, told.stderr
            version = "http2" if "h2" in offered else "http1"
            assert running.stat(f"cluster.hop.upstream_cx_{version}_total") == 1
            assert running.stat(f"http.hop.downstream_cx_{version}_total") == 1


def test_hosts_that_do_not_say_what_they_take(tmp_path: Path) -> None:
    """Silence, an end, GOAWAY: each request is answered, each place given back."""

    def silent(wire: Wire) -> None:
        while wire.fill():
            pass

    def ending(wire: Wire) -> None:
        wire.close()

    def leaving(wire: Wire) -> None:
        wire.send(bytes.fromhex("0000000400000000000000080700000000000000000000000000"))
        silent(wire)

    for number, serve in enumerate((silent, ending, leaving)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(serve) as server:
            options = http2()
            origin = cluster(
                server.port, connect_timeout="0.3s", typed_extension_protocol_options=options
            )
            with proxy(folder, bootstrap([listener(manager())], [origin])) as running:
                with ThreadPoolExecutor(8) as pool:
                    codes = list(pool.map(lambda _: running.connect().get("/").status, range(8)))
                assert codes == [503] * 8
                for gauge in ("upstream_cx_active", "upstream_rq_pending_active"):
                    running.wait_stat(f"cluster.origin.{gauge}", 0)
                total = running.stat("cluster.origin.upstream_cx_total")
                assert running.stat("cluster.origin.upstream_cx_destroy") <= total
