"""A configuration that was read: its message, what is wrong with it, and what to publish."""

from typing import NamedTuple

from dragoman.config.diagnostics import ERROR, Diagnostic, Position, in_order
from dragoman.config.messages import Message
from dragoman.config.positions import Positions
from dragoman.errors import ConfigError

_UNNAMED = "9f3e3a52-6a55-4f6c-8a0e-5a2f0c2e4d11"


class Resource(NamedTuple):
    """One thing to publish: `payload` is the serialised Envoy v3 message of its kind."""

    #: "listener" | "cluster" | "secret", or "sds" for a secret that was fetched (routes stand
    #: inside of their listeners)
    kind: str
    name: str
    payload: bytes


class Loaded:
    """The outcome of `load_bootstrap`."""

    def __init__(
        self, bootstrap: Message, diagnostics: list[Diagnostic], positions: Positions
    ) -> None:
        self.bootstrap = bootstrap
        self._diagnostics = in_order(diagnostics)
        self._positions = positions
        self._roots: dict[tuple[str, str], str] | None = None

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Everything found so far, sorted by position."""
        return list(self._diagnostics)

    @property
    def ok(self) -> bool:
        """True if nothing found is an error."""
        return not any(each.severity == ERROR for each in self._diagnostics)

    def require(self) -> "Loaded":
        """This object, or raises ConfigError if there is an error."""
        if not self.ok:
            raise ConfigError([d for d in self._diagnostics if d.severity == ERROR])
        return self

    def resources(self) -> list[Resource]:
        """What to publish: clusters first, since listeners' routes name them."""
        static = self.bootstrap.static_resources
        kinds = (("secret", static.secrets), ("cluster", static.clusters))
        found = [Resource(kind, m.name, _bytes(m)) for kind, messages in kinds for m in messages]
        for index, listener in enumerate(static.listeners):
            payload = _bytes(listener)
            found.append(Resource("listener", _listener_name(listener, index, payload), payload))
        return found

    def locate(self, kind: str, name: str, field_path: str) -> Position:
        """Where a field of a published resource stands; the nearest thing that exists there."""
        return self._positions.locate(self._path(kind, name, field_path), at_value=True)

    def add_faults(self, faults: list[tuple[str, str, str, str, str]]) -> None:
        """Takes the engine's faults (kind, name, field path, code, message) in as diagnostics."""
        found = list(self._diagnostics)
        for kind, name, field_path, code, message in faults:
            path = self._path(kind, name, field_path)
            text = f"{message} [{code}]"
            found.append(self._positions.diagnostic("DG0601", text, path, at_value=True))
        self._diagnostics = in_order(found)

    def _path(self, kind: str, name: str, field_path: str) -> str:
        if self._roots is None:
            self._roots = self._find_roots()
        root = self._roots.get((kind, name), "")
        return f"{root}.{field_path}" if root and field_path else root or field_path

    def _find_roots(self) -> dict[tuple[str, str], str]:
        counts: dict[str, int] = {}
        roots = {}
        for resource in self.resources():
            index = counts.get(resource.kind, 0)
            counts[resource.kind] = index + 1
            roots[resource.kind, resource.name] = f"static_resources.{resource.kind}s[{index}]"
        return roots


def _bytes(message: Message) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _listener_name(listener: Message, index: int, payload: bytes) -> str:
    """The listener's name. An unnamed one gets a UUID, as in Envoy, that stays if it stays."""
    if listener.name:
        return str(listener.name)
    # uuid is only needed for this
    from uuid import UUID, uuid5

    return str(uuid5(UUID(_UNNAMED), f"{index}:{payload.hex()}"))
