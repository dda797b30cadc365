"""The running proxy as the admin page sees it: its state, its own metrics, its configuration.

Knows nothing about how requests, signals or timers reach it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, NamedTuple

from dragoman import __version__
from dragoman._core import Engine
from dragoman.admin.access import Access
from dragoman.admin.access_log import AccessLog
from dragoman.admin.face import Stored
from dragoman.admin.memory import memory_usage
from dragoman.config import Loaded, from_bytes, message_to_dict
from dragoman.server.logs import Logs
from dragoman.server.options import Options
from dragoman.server.secrets import Secrets

_log = logging.getLogger("dragoman.main")

_FLUSH_EVERY_S = 5.0

#: Values of the gauge `server.state`.
STATES = {"LIVE": 0, "DRAINING": 1, "PRE_INITIALIZING": 2, "INITIALIZING": 3}

#: `server.days_until_first_cert_expiring` where there is no certificate, as Envoy's.
NO_CERTIFICATE = 2**32 - 1

_COUNTERS = (
    "debug_assertion_failures",
    "dropped_stat_flushes",
    "dynamic_unknown_fields",
    "envoy_bug_failures",
    "envoy_notifications",
    "static_unknown_fields",
    "wip_protos",
)
_CONSTANTS = {
    "compilation_settings.fips_mode": 0,
    "hot_restart_epoch": 0,
    "parent_connections": 0,
    "seconds_until_first_ocsp_response_expiring": 0,
}


class Admin(NamedTuple):
    """Where the admin page is served, which of its paths, and where that is logged."""

    socket: socket
    access: Access
    log: AccessLog


class Process:
    """One proxy process. `on_quit` and `on_drained` are called when the admin page asks."""

    def __init__(
        self, options: Options, loaded: Loaded, engine: Engine, logs: Logs, node: dict[str, Any]
    ) -> None:
        self.engine = engine
        self.logs = logs
        self.admin_log: AccessLog | None = None
        self.secrets: Secrets | None = None
        self.on_quit: Callable[[], None] = lambda: None
        self.stop_listening_later: Callable[[float, bool], None] = lambda _delay, _inbound: None
        self._options = options
        self._loaded = loaded
        self._node = node
        self._started = time.monotonic()
        self._last_updated = _timestamp()
        self._phase = "PRE_INITIALIZING"
        self._failed = False
        self._bootstrap: Stored | None = None
        self._resources: dict[str, list[Stored]] | None = None
        self._set_constants()

    @property
    def state(self) -> str:
        """ "PRE_INITIALIZING", "INITIALIZING", then "LIVE" or "DRAINING"."""
        return "DRAINING" if self._failed and self._phase == "LIVE" else self._phase

    @property
    def stats_tags(self) -> tuple[tuple[str, str], ...]:
        """Tags that every metric carries."""
        return self._options.stats_tag

    @property
    def flush_every_s(self) -> float:
        """The bootstrap's stats_flush_interval, in seconds."""
        if not self._loaded.bootstrap.HasField("stats_flush_interval"):
            return _FLUSH_EVERY_S
        every = self._loaded.bootstrap.stats_flush_interval
        return float(every.seconds + every.nanos / 1e9)

    def initializing(self) -> None:
        """The configuration is published; clusters may still have to be resolved."""
        self._phase = "INITIALIZING"

    def go_live(self) -> None:
        """Starts the workers: accepting begins."""
        self.engine.start()
        self._phase = "LIVE"
        took = time.monotonic() - self._started
        self.engine.histogram_record("server.initialization_time_ms", "ms", int(took * 1000))
        _log.info("all clusters initialized, workers started")

    def refresh_stats(self) -> None:
        """Sets the gauges that are computed when somebody looks."""
        gauges = {
            "uptime": int(time.monotonic() - self._started),
            "live": int(self.state == "LIVE"),
            "state": STATES[self.state],
            "total_connections": self.engine.active_connections(),
            "days_until_first_cert_expiring": self._days_until_first_cert_expiring(),
            **{f"memory_{name}": value for name, value in memory_usage().items()},
        }
        for name, value in gauges.items():
            self.engine.gauge_set(f"server.{name}", value)
        if self._loaded.bootstrap.stats_flush_on_admin:
            self.engine.flush_stats()

    def _days_until_first_cert_expiring(self) -> int:
        expires = self.engine.first_expiry()
        if expires is None:
            return NO_CERTIFICATE
        return max(0, int(expires - time.time())) // 86_400

    def flush_stats(self) -> None:
        """What happens every stats_flush_interval."""
        self.refresh_stats()
        self.engine.flush_stats()

    def server_info(self) -> dict[str, Any]:
        """envoy.admin.v3.ServerInfo as JSON."""
        uptime = f"{int(time.monotonic() - self._started)}s"
        return {
            "version": f"dragoman/{__version__}/Clean/RELEASE/aws-lc-rs",
            "state": self.state,
            "uptime_current_epoch": uptime,
            "uptime_all_epochs": uptime,
            "hot_restart_version": "disabled",
            "command_line_options": self._options.command_line,
            "node": {
                **self._node,
                "user_agent_name": "dragoman",
                "user_agent_build_version": {"version": _semantic(__version__)},
                "extensions": [],
                "client_features": [],
                "listening_addresses": [],
                "dynamic_parameters": {},
            },
            "hot_restart_initializing": False,
        }

    def bootstrap(self) -> Stored:
        """The bootstrap as JSON, made on first use: it can be large and few people ask."""
        if self._bootstrap is None:
            body = message_to_dict(self._loaded.bootstrap)
            body["node"] = self._node
            self._bootstrap = Stored("", body, self._last_updated)
        return self._bootstrap

    def resources(self, kind: str) -> Sequence[Stored]:
        """The running resources of one kind."""
        if self._resources is None:
            self._resources = {}
            for one in self._loaded.resources():
                stored = Stored(one.name, _body(one.kind, one.payload), self._last_updated)
                self._resources.setdefault(one.kind, []).append(stored)
        found = self._resources.get(kind, [])
        if kind == "secret" and self.secrets is not None:
            return [*found, *self.secrets.stored()]
        return found

    def fail_health_check(self, failed: bool) -> None:
        """Health checks fail (and the state is DRAINING) until this is called with False."""
        self._failed = failed
        self.engine.set_health_check_failed(failed)

    def drain(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """See `dragoman.admin.face.Proxy.drain`."""
        self.engine.drain_listeners(
            graceful=graceful, inbound_only=inbound_only, skip_exit=skip_exit
        )
        if graceful and not skip_exit:
            self.stop_listening_later(float(self._options.drain_time_s), inbound_only)

    def quit(self) -> None:
        """Ends the process soon."""
        self.on_quit()

    def reopen_logs(self) -> None:
        """After a log rotation."""
        self.logs.reopen()
        if self.admin_log is not None:
            self.admin_log.reopen()
        self.engine.reopen_logs()

    def _set_constants(self) -> None:
        for name in _COUNTERS:
            self.engine.counter_add(f"server.{name}", 0)
        version = _version_number(__version__)
        override = self._loaded.bootstrap
        if override.HasField("stats_server_version_override"):
            version = override.stats_server_version_override.value
        constants = _CONSTANTS | {"concurrency": self._options.concurrency, "version": version}
        for name, value in constants.items():
            self.engine.gauge_set(f"server.{name}", value)


_TYPES = {
    "listener": "envoy.config.listener.v3.Listener",
    "cluster": "envoy.config.cluster.v3.Cluster",
    "route": "envoy.config.route.v3.RouteConfiguration",
    "endpoints": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "secret": "envoy.extensions.transport_sockets.tls.v3.Secret",
}


def _body(kind: str, payload: bytes) -> dict[str, Any]:
    name = _TYPES[kind]
    return {"@type": f"type.googleapis.com/{name}", **message_to_dict(from_bytes(name, payload))}


def _timestamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"


def _semantic(version: str) -> dict[str, int]:
    major, minor, patch = (int(part) for part in version.split("."))
    return {"major_number": major, "minor_number": minor, "patch": patch}


def _version_number(version: str) -> int:
    """`server.version`: 1.2.3 is 10203."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 10_000 + minor * 100 + patch
