"""A real Redis behind tcp_proxy, TLS on both sides: its own client and load tool speak to it."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.proxies import Config, Proxy, bootstrap, cluster, listener, proxy
from tests.e2e.running import free_port
from tests.e2e.tls import FOLDER, downstream, host_and_port, trusting, upstream

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="there is no Redis (Debian's redis-server)"
)
CA = ["--tls", "--cacert", str(FOLDER / "ca.pem")]
BIG = b"\r\n".join(b"%d bytes of any kind: \x00\xff" % number for number in range(200_000))


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis that speaks TLS alone; gives its port."""
    port = free_port()
    files = ["--tls-cert-file", FOLDER / "b.pem", "--tls-key-file", FOLDER / "b.key"]
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--tls-port", str(port), *map(str, files),
         "--tls-ca-cert-file", str(FOLDER / "ca.pem"), "--tls-auth-clients", "no",
         "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--logfile", "redis.log"]
    )  # fmt: skip
    try:
        for _ in range(500):
            asked = ["redis-cli", "-p", str(port), *CA, "PING"]
            if b"PONG" in subprocess.run(asked, capture_output=True, check=False).stdout:
                break
            time.sleep(0.02)
        else:
            pytest.fail((folder / "redis.log").read_text())
        yield port
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def before_redis(folder: Path) -> Iterator[Proxy]:
    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    typed = {"@type": kind, "stat_prefix": "redis", "cluster": "origin"}
    chain: Config = {
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": typed}],
        "transport_socket": downstream("a-ecdsa"),
    }
    context = trusting("ca", "b.example.com")
    socket = upstream({"validation_context": context}, sni="b.example.com")
    with redis(folder) as port:
        config = bootstrap(
            [listener({}, filter_chains=[chain])], [cluster(port, transport_socket=socket)]
        )
        with proxy(folder, config) as running:
            yield running


def cli(running: Proxy, *words: str, given: bytes | None = None) -> bytes:
    host, port = host_and_port(running)
    command = ["redis-cli", "-h", host, "-p", str(port), *CA, *words]
    return subprocess.run(
        command, input=given, capture_output=True, timeout=30, check=True
    ).stdout  # fmt: skip


def test_its_own_client(tmp_path: Path) -> None:
    with before_redis(tmp_path) as running:
        assert cli(running, "SET", "name", "value") == b"OK\n"
        assert cli(running, "GET", "name") == b"value\n"
        assert cli(running, "-x", "SET", "big", given=BIG) == b"OK\n"
        assert cli(running, "--raw", "GET", "big") == BIG + b"\n"
        # Commands of one connection, one after the other.
        many = b"".join(b"INCR counter\n" for _ in range(500))
        assert cli(running, given=many).splitlines()[-1] == b"500"


def test_its_own_load_tool(tmp_path: Path) -> None:
    """Ten connections, sixteen commands at once on each, of which some are large."""
    with before_redis(tmp_path) as running:
        host, port = host_and_port(running)
        words = ["-n", "4000", "-c", "10", "-P", "16", "-d", "3000", "-t", "set,get,lpush", "-q"]
        command = ["redis-benchmark", "-h", host, "-p", str(port), *CA, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "rror" not in done.stdout + done.stderr
        running.wait_stat("tcp.redis.downstream_cx_active", 0)
        assert running.stat("cluster.origin.upstream_cx_connect_fail") == 0
        assert running.stat("cluster.origin.ssl.connection_error") == 0
