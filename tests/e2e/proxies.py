"""A proxy on a configuration made from parts, and what the kernel says of its process.

Must not know of tests.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.differential.proxy import find_envoy
from tests.e2e.running import DRAGOMAN, Running
from tests.e2e.wire import Address, Wire, connect

Config = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions"
_TICKS = os.sysconf("SC_CLK_TCK")


def envoy() -> list[str]:
    """The real Envoy's command."""
    return [str(find_envoy()), "--disable-hot-restart"]


def address(where: Address | int) -> Config:
    """envoy.config.core.v3.Address of a port of 127.0.0.1, of (host, port) or of a path."""
    if isinstance(where, str):
        return {"pipe": {"path": where}}
    host, port = ("127.0.0.1", where) if isinstance(where, int) else where
    return {"socket_address": {"address": host, "port_value": port}}


def endpoint(where: Address | int, **lb_endpoint: Any) -> Config:
    return {"endpoint": {"address": address(where)}, **lb_endpoint}


def cluster(*endpoints: Config | Address | int, name: str = "origin", **fields: Any) -> Config:
    """A cluster of endpoints, or of addresses."""
    all_of_them = [e if isinstance(e, dict) else endpoint(e) for e in endpoints]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": all_of_them}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **fields}


def file_log(path: Path | str, text: str) -> Config:
    log = {
        "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"text_format_source": {"inline_string": text}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": log}


def manager(routes: list[Config] | None = None, **fields: Any) -> Config:
    """An HTTP connection manager; without `routes` all goes to the cluster `origin`."""
    routes = routes or [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
    router = {"@type": f"{_TYPE}.filters.http.router.v3.Router"}
    virtual_host = {"name": "all", "domains": ["*"], "routes": routes}
    return {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {"name": "routes", "virtual_hosts": [virtual_host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        **fields,
    }


def listener(hcm: Config, where: Address | int = 0, name: str = "web", **fields: Any) -> Config:
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]
    return {
        "name": name,
        "address": address(where),
        "filter_chains": [{"filters": filters}],
    } | fields


def bootstrap(listeners: list[Config], clusters: list[Config], **fields: Any) -> Config:
    resources = {"listeners": listeners, "clusters": clusters}
    return {"admin": {"address": address(0)}, "static_resources": resources, **fields}


class Proxy(Running):
    """A running proxy. Every request is logged as `STATUS FLAGS DETAILS "METHOD PATH"`."""

    LOG = '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "%REQ(:METHOD)% %REQ(:PATH)%"\n'

    def __init__(
        self,
        folder: Path,
        config: Config,
        command: list[str] | None = None,
        workers: int = 1,
        flush_ms: int = 50,
    ) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        # Lines are written when many came, or after this time (10 s if nobody says).
        command = [*(command or DRAGOMAN), "--file-flush-interval-msec", str(flush_ms)]
        super().__init__(command, path, folder, workers=workers)
        self.clients: list[Wire] = []
        self._addresses: dict[str, str] = {}

    def connect(self, listener: str = "web") -> Wire:
        """A connection to a listener; it lasts no longer than the proxy."""
        self.clients.append(connect(self.address(listener)))
        return self.clients[-1]

    def address(self, listener: str = "web") -> Address:
        if listener not in self._addresses:
            self._addresses = self.listeners()
        where = self._addresses[listener]
        if where[0] in "/@":
            return where
        host, _, port = where.rpartition(":")
        return host.strip("[]"), int(port)

    def end(self) -> int:
        for client in self.clients:
            client.close()
        return super().end()

    def listeners(self) -> dict[str, str]:
        """Addresses by the listeners' names."""
        rows = self.admin.get("/listeners").text.splitlines()
        return {name: where for name, _, where in (row.partition("::") for row in rows)}

    def stat(self, name: str) -> int:
        """A counter's or gauge's value; one that was never written is 0."""
        return int(self.stats(f"^{name}$").get(name, 0))

    def wait_stat(self, name: str, value: int) -> None:
        """Waits until the metric has this value, and says which it had instead."""
        try:
            self.wait(lambda: self.stat(name) == value)
        except BaseException:
            print(f"{name} is {self.stat(name)}, not {value}")  # noqa: T201
            raise

    def wait_idle(self, name: str = "origin") -> None:
        """Waits until no request of the cluster is active or waits for a connection."""
        for gauge in ("upstream_rq_active", "upstream_rq_pending_active"):
            self.wait_stat(f"cluster.{name}.{gauge}", 0)

    def rss(self) -> int:
        """Resident memory, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """CPU time so far, user and system."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())


@contextmanager
def proxy(
    folder: Path, config: Config, command: list[str] | None = None, workers: int = 1
) -> Iterator[Proxy]:
    """A proxy that must end cleanly."""
    running = Proxy(folder, config, command, workers)
    try:
        yield running
    except BaseException:
        running.end()
        raise
    assert running.end() == 0, running.log.read_text()


@contextmanager
def simple(
    folder: Path, *endpoints: Config | Address | int, workers: int = 1, **fields: Any
) -> Iterator[Proxy]:
    """A proxy before one cluster with these endpoints; `fields` are the cluster's.

    Its access log is `folder / "access"`.
    """
    hcm = manager(access_log=[file_log(folder / "access", Proxy.LOG)])
    config = bootstrap([listener(hcm)], [cluster(*endpoints, **fields)])
    with proxy(folder, config, workers=workers) as running:
        yield running


def logged(folder: Path, running: Proxy, count: int) -> list[str]:
    """The first `count` lines of the access log; waits for them."""
    path = folder / "access"
    running.wait(lambda: path.read_text().count("\n") >= count)
    return path.read_text().splitlines()
