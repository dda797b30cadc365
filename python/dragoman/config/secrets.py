"""Secrets that stand in files (SDS by `path_config_source`): which are wanted, what a file holds.

The files that a secret names (a certificate, its key, trusted certificates) are read with it and go
inside of it, as Envoy shows them: so a certificate and its key are always of one moment.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dragoman.config.bootstrap import check, fill
from dragoman.config.check_context import Context
from dragoman.config.diagnostics import ERROR, Diagnostic
from dragoman.config.loaded import Resource
from dragoman.config.messages import Message, Types, type_name, types
from dragoman.config.positions import Positions
from dragoman.config.source import read_source
from dragoman.config.walk import unpack, walk

_TLS = "envoy.extensions.transport_sockets.tls.v3"
_SECRET = f"{_TLS}.Secret"
_ANSWER = "envoy.service.discovery.v3.DiscoveryResponse"
_SOURCE = "envoy.config.core.v3.DataSource"


class Wanted(NamedTuple):
    """A secret that some TLS context fetches from a file."""

    name: str
    path: str

    @property
    def key(self) -> str:
        """Under which name the engine knows it: two files may have secrets of one name."""
        return f"{self.name}@{self.path}"


class Fetched:
    """What a file holds of a secret now. `resource` is None if `faults` say why."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.version = ""
        #: what was read: the file itself and those that the secret names
        self.files = [wanted.path]
        #: the file could be read and understood, whatever is in it
        self.is_read = False
        self.resource: Resource | None = None
        self.faults: list[Diagnostic] = []
        self._positions: Positions | None = None
        self._path = ""

    def refused(self, faults: list[tuple[str, str, str, str, str]]) -> list[Diagnostic]:
        """The engine's faults (kind, name, field path, code, message) as diagnostics."""
        assert self._positions is not None
        found = []
        for kind, name, field_path, code, message in faults:
            # Of the secret itself, or of a context that would use it.
            here = kind == "sds"
            text = f"{message} [{code}]" if here else f"{kind} {name}: {field_path}: {message}"
            path = f"{self._path}.{field_path}" if here else self._path
            found.append(self._positions.diagnostic("DG0601", text, path, at_value=True))
        return found


def wanted(bootstrap: Message) -> list[Wanted]:
    """The secrets that the contexts of `bootstrap` fetch from files, each once."""
    found: dict[Wanted, None] = {}
    for step in walk(types(), bootstrap):
        if step.type_name == f"{_TLS}.SdsSecretConfig" and step.message.HasField("sds_config"):
            path = source_path(step.message.sds_config)
            if path:
                found[Wanted(step.message.name, path)] = None
    return list(found)


def source_path(source: Message) -> str:
    """The file of a ConfigSource; "" if it is none."""
    kind = source.WhichOneof("config_source_specifier")
    if kind == "path_config_source":
        return str(source.path_config_source.path)
    return str(source.path) if kind == "path" else ""


def fetch(secret: Wanted) -> Fetched:
    """Reads the file of `secret`, and the files that it names."""
    known, fetched = types(), Fetched(secret)
    source, fetched.faults = read_source(secret.path)
    answer = known.new(_ANSWER)
    if source.is_read:
        fetched.faults += fill(known, source, answer, allow_unknown=False)
    fetched.is_read = source.is_read and not fetched.faults
    if not fetched.is_read:
        return fetched
    positions = fetched._positions = Positions([source])
    fetched.version = answer.version_info
    found = dict(_secrets(known, answer))
    if secret.name not in found:
        there = ", ".join(f"'{name}'" for name in found) or "none"
        text = f"there is no secret '{secret.name}' in it ({there})"
        fetched.faults.append(positions.diagnostic("DG0416", text, "resources"))
        return fetched
    path, message = found[secret.name]
    fetched._path = path
    fetched.files += _files(known, message)
    checked = check(known, answer, positions, Context(frozenset(), is_fetched=True))
    fetched.faults += [one for one in checked if one.severity == ERROR]
    if not fetched.faults:
        _take_in(known, message, path, fetched)
    if not fetched.faults:
        payload = bytes(message.SerializeToString(deterministic=True))
        fetched.resource = Resource("sds", secret.key, payload)
    return fetched


def _secrets(known: Types, answer: Message) -> Iterator[tuple[str, tuple[str, Message]]]:
    for index, packed in enumerate(answer.resources):
        message = unpack(known, packed)
        if message is not None and type_name(packed.type_url) == _SECRET:
            yield message.name, (f"resources[{index}]", message)


def _files(known: Types, secret: Message) -> list[str]:
    sources = (step.message for step in walk(known, secret) if step.type_name == _SOURCE)
    return [source.filename for source in sources if source.filename]


def _read_file(path: Path) -> bytes:
    """Raises OSError; ValueError for what no file's name is, and for what would be waited for."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it's no regular file")
    return path.read_bytes()


def _take_in(known: Types, secret: Message, path: str, fetched: Fetched) -> None:
    """Puts what files hold in their place."""
    assert fetched._positions is not None
    for step in walk(known, secret, path):
        if step.type_name != _SOURCE or not step.message.filename:
            continue
        try:
            content = _read_file(Path(step.message.filename))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            text = f"can't read {step.message.filename!r}: {why}"
            place = step.below("filename")
            fetched.faults.append(fetched._positions.diagnostic("DG0001", text, place))
        else:
            step.message.inline_bytes = content
