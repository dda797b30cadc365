"""The compiled engine (Rust, crates/bind/py): configuration and questions in, facts out.

Nothing here is called while a request is served. Every call releases the GIL while it works.
"""

from collections.abc import Sequence
from typing import final

__version__: str

#: (kind, name, payload): kind is "listener" | "route" | "cluster" | "endpoints"; payload is the
#: serialised Envoy v3 message of that kind, or None to remove the resource.
Change = tuple[str, str, bytes | None]

#: (kind, name, field path inside the resource, code, message)
Fault = tuple[str, str, str, str, str]

class PublishError(Exception):
    """A publish was refused as a whole; the running snapshot is untouched.

    ``args[0]`` is a list of `Fault`.
    """

class BindError(OSError):
    """A listener's address can't be bound. ``args`` = (errno, message, listener name)."""

@final
class Regex:
    """A regular expression of RE2's syntax over UTF-8 bytes; matching takes linear time.

    Raises:
        ValueError: `pattern` isn't one; the message says why.
    """

    def __init__(self, pattern: str) -> None: ...
    def search(self, text: str) -> bool:
        """Whether it matches anywhere in `text`."""
    def fullmatch(self, text: str) -> bool:
        """Whether it matches `text` as a whole."""

@final
class HostStatus:
    """One endpoint as a cluster sees it."""

    address: str  # "127.0.0.1:9000" or a pipe's path
    hostname: str
    weight: int
    priority: int
    region: str
    zone: str
    sub_zone: str
    #: "healthy" or Envoy's flags, e.g. "/failed_active_hc"
    health_flags: str
    #: Envoy's per-host counters and gauges by name: cx_total, cx_connect_fail, cx_active, rq_total,
    #: rq_success, rq_error, rq_timeout, rq_active
    stats: dict[str, int]

@final
class LoadedCertificate:
    """One certificate of a TLS context."""

    path: str  # a file, or "<inline>"
    serial_number: str  # in hex
    dns: list[str]
    uris: list[str]
    ip_addresses: list[str]
    not_before: int  # seconds since 1970
    not_after: int

@final
class ClusterStatus:
    name: str
    observability_name: str
    added_via_api: bool
    #: by priority ("default", "high"), then by threshold: {"max_connections": 1024, ...}
    circuit_breakers: dict[str, dict[str, int]]
    hosts: list[HostStatus]

@final
class ListenerStatus:
    name: str
    #: bound addresses with real ports, as text
    addresses: list[str]
    #: "active" | "draining"
    state: str
    #: "unspecified" | "inbound" | "outbound"
    traffic_direction: str

@final
class Histogram:
    """A histogram's two summaries. Times are in milliseconds (floats)."""

    unit: str  # "ms" | "us" | "bytes" | "percent" | ""
    #: quantiles 0, .25, .5, .75, .9, .95, .99, .995, .999, 1; None where nothing was recorded
    interval: list[float] | None
    cumulative: list[float] | None
    interval_count: int
    cumulative_count: int
    interval_sum: float
    cumulative_sum: float
    #: (upper bound, cumulative number of samples <= bound) for Envoy's default bounds
    interval_buckets: list[tuple[float, int]]
    cumulative_buckets: list[tuple[float, int]]
    #: every used fine bin as (lower bound, width, count): `histogram_buckets=detailed`
    interval_bins: list[tuple[float, float, int]]
    cumulative_bins: list[tuple[float, float, int]]

@final
class Metric:
    name: str
    kind: str  # "counter" | "gauge" | "histogram" | "text"
    value: int  # counters and gauges
    text: str  # text readouts
    histogram: Histogram | None
    #: written since start (`usedonly`)
    used: bool

@final
class Published:
    version: int
    #: human-readable: "listener ingress: added", "cluster service: modified"
    changes: list[str]

@final
class Engine:
    """One proxy: a control thread and `concurrency` worker threads."""

    def __init__(
        self,
        *,
        concurrency: int,
        drain_time_s: float = 600.0,
        drain_strategy: str = "gradual",  # "gradual" | "immediate"
        file_flush_interval_ms: int = 10_000,
        file_flush_min_size_kb: int = 64,
        service_cluster: str = "",
        service_node: str = "",
    ) -> None: ...
    def publish(self, changes: Sequence[Change]) -> Published:
        """Applies all of `changes` or none. Raises PublishError, BindError."""
    def check(self, changes: Sequence[Change]) -> None:
        """Compiles `changes` as publish would; binds and applies nothing. Raises PublishError."""
    def start(self) -> None:
        """Starts the workers (accepting begins). Listeners published before are bound already."""
    def wait_initialized(self, timeout_s: float) -> bool:
        """True once every cluster that has to resolve names has tried once."""
    def stop(self) -> None:
        """Ends the workers: connections are closed as they are. Idempotent."""
    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None: ...
    def stop_listening(self, *, inbound_only: bool = False) -> None:
        """Stops accepting; connections live on and are asked to close."""
    def active_requests(self) -> int: ...
    def active_connections(self) -> int: ...
    def set_health_check_failed(self, failed: bool) -> None: ...
    def reopen_logs(self) -> None: ...
    def first_expiry(self) -> int | None:
        """When the first of all certificates expires, in seconds since 1970; None without any."""
    def flush_stats(self) -> None:
        """Rolls the interval histograms (Envoy: every stats_flush_interval)."""
    def reset_counters(self) -> None: ...
    def stats(self) -> list[Metric]:
        """All metrics, sorted by name."""
    # Metrics that Python owns (server., listener_manager.lds., ...). Created on first use.
    def counter_add(self, name: str, by: int) -> None: ...
    def gauge_set(self, name: str, value: int) -> None: ...
    def text_set(self, name: str, value: str) -> None: ...
    def histogram_record(self, name: str, unit: str, value: int) -> None: ...
    def clusters(self) -> list[ClusterStatus]: ...
    def certificates(self) -> list[tuple[LoadedCertificate | None, list[LoadedCertificate]]]:
        """Of every TLS context: the first that it trusts, and its own."""
    def listeners(self) -> list[ListenerStatus]: ...
    #: Log records made in Rust since the last call: (level, logger, message)
    def take_logs(self) -> list[tuple[str, str, str]]: ...
