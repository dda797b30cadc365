"""A process for the pages to ask: plain values of the shapes in `dragoman.admin.face`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dragoman.admin.access import Access
from dragoman.admin.answer import Answer
from dragoman.admin.commands import respond
from dragoman.admin.face import Certificate, Stored
from tests.unit.stats.support import Metric

NOW = "2026-11-23T20:25:43.777Z"


@dataclass
class Host:
    address: str = "127.0.0.1:9000"
    hostname: str = ""
    weight: int = 1
    priority: int = 0
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    health_flags: str = "healthy"
    stats: dict[str, int] = field(default_factory=dict)


def limits(connections: int = 1024) -> dict[str, int]:
    return {
        "max_connections": connections,
        "max_pending_requests": 1024,
        "max_requests": 1024,
        "max_retries": 3,
    }


@dataclass
class Cluster:
    name: str
    hosts: list[Host] = field(default_factory=list)
    added_via_api: bool = False
    circuit_breakers: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"default": limits(), "high": limits()}
    )

    @property
    def observability_name(self) -> str:
        return self.name


@dataclass
class Listener:
    name: str
    addresses: list[str]


@dataclass
class Engine:
    metrics: list[Metric] = field(default_factory=list)
    cluster_list: list[Cluster] = field(default_factory=list)
    listener_list: list[Listener] = field(default_factory=list)
    certificate_list: list[tuple[Certificate | None, Sequence[Certificate]]] = field(
        default_factory=list
    )
    done: list[str] = field(default_factory=list)

    def stats(self) -> Sequence[Metric]:
        return self.metrics

    def clusters(self) -> Sequence[Cluster]:
        return self.cluster_list

    def listeners(self) -> Sequence[Listener]:
        return self.listener_list

    def certificates(self) -> Sequence[tuple[Certificate | None, Sequence[Certificate]]]:
        return self.certificate_list

    def reset_counters(self) -> None:
        self.done.append("reset_counters")


@dataclass
class Logs:
    table: dict[str, str] = field(default_factory=lambda: {"admin": "info", "http": "info"})

    def levels(self) -> dict[str, str]:
        return dict(self.table)

    def set_all(self, level: str) -> None:
        self.table = dict.fromkeys(self.table, level)

    def set_one(self, name: str, level: str) -> None:
        self.table[name] = level


@dataclass
class Proxy:
    engine: Engine = field(default_factory=Engine)
    logs: Logs = field(default_factory=Logs)
    state: str = "LIVE"
    stats_tags: tuple[tuple[str, str], ...] = ()
    boot: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, list[Stored]] = field(default_factory=dict)
    refreshed: int = 0
    failed: bool = False
    ended: bool = False

    def refresh_stats(self) -> None:
        self.refreshed += 1

    def server_info(self) -> dict[str, Any]:
        return {"state": self.state}

    def bootstrap(self) -> Stored:
        return Stored("", self.boot, NOW)

    def resources(self, kind: str) -> Sequence[Stored]:
        return self.stored.get(kind, [])

    def fail_health_check(self, failed: bool) -> None:
        self.failed = failed

    def drain(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        self.engine.done.append(f"drain {graceful=} {inbound_only=} {skip_exit=}")

    def reopen_logs(self) -> None:
        self.engine.done.append("reopen_logs")

    def quit(self) -> None:
        self.ended = True


def get(proxy: Proxy, target: str) -> Answer:
    return respond(proxy, Access(), "GET", target)


def post(proxy: Proxy, target: str) -> Answer:
    return respond(proxy, Access(), "POST", target)
