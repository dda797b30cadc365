"""What the admin pages ask of the process they belong to, and nothing else of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from dragoman.stats.model import Metric


class Stored(NamedTuple):
    """A piece of the running configuration.

    Attributes:
        name: the resource's name ("" for the bootstrap).
        body: the message as Envoy's JSON (proto field names, `Any` unpacked with "@type").
        last_updated: when it was taken, as an RFC 3339 time.
        version_info: of a resource that came over xDS; None for a static one.
    """

    name: str
    body: dict[str, Any]
    last_updated: str
    version_info: str | None = None


class Host(Protocol):
    """One endpoint of a cluster, as `dragoman._core.HostStatus`."""

    @property
    def address(self) -> str: ...
    @property
    def hostname(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def region(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def sub_zone(self) -> str: ...
    @property
    def health_flags(self) -> str: ...
    @property
    def stats(self) -> Mapping[str, int]: ...


class Cluster(Protocol):
    """One cluster, as `dragoman._core.ClusterStatus`."""

    @property
    def name(self) -> str: ...
    @property
    def observability_name(self) -> str: ...
    @property
    def added_via_api(self) -> bool: ...
    @property
    def circuit_breakers(self) -> Mapping[str, Mapping[str, int]]: ...
    @property
    def hosts(self) -> Sequence[Host]: ...


class Listener(Protocol):
    """One listener, as `dragoman._core.ListenerStatus`."""

    @property
    def name(self) -> str: ...
    @property
    def addresses(self) -> Sequence[str]: ...


class Certificate(Protocol):
    """One certificate, as `dragoman._core.LoadedCertificate`."""

    @property
    def path(self) -> str: ...
    @property
    def serial_number(self) -> str: ...
    @property
    def dns(self) -> Sequence[str]: ...
    @property
    def uris(self) -> Sequence[str]: ...
    @property
    def ip_addresses(self) -> Sequence[str]: ...
    @property
    def not_before(self) -> int: ...
    @property
    def not_after(self) -> int: ...


class Engine(Protocol):
    """The part of `dragoman._core.Engine` that pages use."""

    def stats(self) -> "Sequence[Metric]": ...
    def clusters(self) -> Sequence[Cluster]: ...
    def listeners(self) -> Sequence[Listener]: ...
    def certificates(self) -> Sequence[tuple[Certificate | None, Sequence[Certificate]]]: ...
    def reset_counters(self) -> None: ...


class Logs(Protocol):
    """The levels of the process's loggers. Setters raise KeyError for an unknown word."""

    def levels(self) -> dict[str, str]: ...
    def set_all(self, level: str) -> None: ...
    def set_one(self, name: str, level: str) -> None: ...


class Proxy(Protocol):
    """The running process."""

    @property
    def engine(self) -> Engine: ...
    @property
    def logs(self) -> Logs: ...
    @property
    def state(self) -> str:
        """ "LIVE", "DRAINING", "PRE_INITIALIZING" or "INITIALIZING"."""
        ...

    @property
    def stats_tags(self) -> tuple[tuple[str, str], ...]:
        """Tags that every metric carries."""
        ...

    def refresh_stats(self) -> None:
        """Brings the metrics that are computed on demand (`server.uptime`) up to date."""
        ...

    def server_info(self) -> dict[str, Any]:
        """envoy.admin.v3.ServerInfo as JSON."""
        ...

    def bootstrap(self) -> Stored: ...
    def resources(self, kind: str) -> Sequence[Stored]:
        """Running resources: kind is "listener", "route", "cluster", "endpoints" or "secret"."""
        ...

    def fail_health_check(self, failed: bool) -> None: ...
    def drain(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """Stops listeners: now; or, `graceful`, after the drain time; or never (`skip_exit`)."""
        ...

    def reopen_logs(self) -> None:
        """Opens every log file anew."""
        ...

    def quit(self) -> None:
        """Ends the process soon, after the answer has been sent."""
        ...
