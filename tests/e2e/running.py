"""A proxy process to test: Dragoman or a real Envoy, on a small configuration, with an origin."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

DRAGOMAN = [sys.executable, "-m", "dragoman"]

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


class Running:
    """One proxy process on the configuration, with its admin page and its listener."""

    def __init__(self, command: list[str], config: Path, folder: Path, *, workers: int = 1) -> None:
        self.log = folder / "log"
        # Envoy's names of a listener's metrics hold the port as configured, so not 0.
        own = folder / "own.yaml"
        own.write_text(LISTEN_ANYWHERE.sub(rf"\g<1>{free_port()}\2", config.read_text()))
        where = folder / "admin"
        where.unlink(missing_ok=True)
        self._log = self.log.open("w")
        self.process = subprocess.Popen(
            [*command, "-c", own, "--concurrency", str(workers), "--admin-address-path", where],
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self.wait(lambda: where.exists() and bool(where.read_text()))
            # Without verify=False it would load all the authorities of the world.
            url = f"http://{where.read_text()}"
            self.admin = httpx.Client(base_url=url, timeout=10, verify=False)
            self.wait(self._is_ready)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self._log.close()
            raise
        self.web = "http://" + self.admin.get("/listeners").text.strip().rpartition("::")[2]

    def _is_ready(self) -> bool:
        try:
            return self.admin.get("/ready").status_code == 200
        except httpx.TransportError:
            # The process has just ended; `wait` says so.
            return False

    def wait(self, condition: Callable[[], bool]) -> None:
        """Waits, bounded, until `condition` holds."""
        for _ in range(500):
            assert self.process.poll() is None, self.log.read_text()
            if condition():
                return
            time.sleep(0.02)
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


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def origin() -> Iterator[int]:
    """An HTTP server's port: 404 for /missing, else 200 with the body `ok`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`dragoman` with `arguments`, until it ends."""
    return subprocess.run(
        [*DRAGOMAN, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )
