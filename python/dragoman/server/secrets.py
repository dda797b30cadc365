"""Keeps the secrets that stand in files as the files are, while the proxy runs.

Files are looked at twice a second rather than watched: that sees every way of replacing one, on
every file system, and a file that is still being written isn't read before it has settled. What is
wrong with a new secret is logged and counted, and the one before stays.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dragoman._core import Engine, PublishError
from dragoman.admin.face import Stored
from dragoman.config import Diagnostic, Fetched, Wanted, fetch, from_bytes, message_to_dict

_log = logging.getLogger("dragoman.secret")

EVERY_S = 0.5

_COUNTERS = (
    "init_fetch_timeout", "key_rotation_failed", "update_attempt", "update_failure",
    "update_rejected", "update_success",
)  # fmt: skip
_TYPE = "envoy.extensions.transport_sockets.tls.v3.Secret"

#: What tells versions of a file apart; None: it isn't there.
_Stamp = tuple[int, int, int] | None


def examine(
    wanted: Wanted, take: Callable[[list[Any]], object]
) -> tuple[Fetched, list[Diagnostic]]:
    """Reads a secret and has the engine `take` it; gives also everything that is wrong with it."""
    fetched = fetch(wanted)
    if fetched.resource is None:
        return fetched, fetched.faults
    try:
        take([tuple(fetched.resource)])
    except PublishError as error:
        return fetched, fetched.refused(error.args[0])
    return fetched, []


class Secrets:
    """All of them, published to `engine` as they come. See `sds.<name>.*` among the statistics."""

    def __init__(self, wanted: list[Wanted], engine: Engine) -> None:
        self._kept = [_Secret(one, engine) for one in wanted]
        for one in self._kept:
            one.update()

    def __bool__(self) -> bool:
        return bool(self._kept)

    def poll(self) -> None:
        """Takes over what has changed, once it has settled."""
        for one in self._kept:
            try:
                one.poll()
            except Exception:
                # A fault of ours in one of them must not keep the others from being looked at.
                _log.exception("secret '%s' can't be looked at", one.name)

    def stored(self) -> list[Stored]:
        """Those that have come, for the admin page."""
        return [one.stored for one in self._kept if one.stored is not None]


class _Secret:
    def __init__(self, wanted: Wanted, engine: Engine) -> None:
        self.stored: Stored | None = None
        self._wanted = wanted
        self._engine = engine
        self._files = [wanted.path]
        self._taken: list[_Stamp] = []
        self._settling: list[_Stamp] | None = None
        self._prefix = f"sds.{wanted.name}."
        for name in _COUNTERS:
            engine.counter_add(self._prefix + name, 0)
        engine.text_set(f"{self._prefix}version_text", "")

    @property
    def name(self) -> str:
        return self._wanted.name

    def poll(self) -> None:
        now = _stamps(self._files)
        if now == self._taken:
            self._settling = None
        elif now != self._settling:
            self._settling = now
        else:
            # Only what it names has changed: that is a rotation, no new secret.
            self.update(rotation=now[0] == self._taken[0])

    def update(self, *, rotation: bool = False) -> None:
        """Reads the secret anew; if it's good, it is what new connections use from now on."""
        begun = time.monotonic()
        before = _stamps(self._files)
        fetched, faults = examine(self._wanted, self._engine.publish)
        if fetched.is_read:
            self._files = list(dict.fromkeys(fetched.files))
            # What was written to meanwhile is read again.
            before += _stamps(self._files[len(before) :])
        self._taken, self._settling = before[: len(self._files)], None
        for fault in faults:
            _log.warning("secret '%s' isn't taken over: %s", self._wanted.name, fault)
        self._count(fetched, bool(faults), rotation)
        if not faults:
            self._accept(fetched, begun, rotation)

    def _count(self, fetched: Fetched, is_faulty: bool, rotation: bool) -> None:
        if rotation:
            self._add("key_rotation_failed", int(is_faulty))
            return
        self._add("update_attempt", 1)
        if not fetched.is_read:
            self._add("update_failure", 1)
        else:
            self._add("update_rejected" if is_faulty else "update_success", 1)

    def _accept(self, fetched: Fetched, begun: float, rotation: bool) -> None:
        assert fetched.resource is not None
        now = time.time()
        body = message_to_dict(from_bytes(_TYPE, fetched.resource.payload))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        self.stored = Stored(
            self._wanted.name,
            {"@type": f"type.googleapis.com/{_TYPE}", **body},
            f"{stamp}.{int(now * 1000) % 1000:03}Z",
            fetched.version,
        )
        _log.info("secret '%s' taken over from %s", self._wanted.name, self._wanted.path)
        if rotation:
            return
        self._engine.text_set(f"{self._prefix}version_text", fetched.version)
        self._engine.gauge_set(f"{self._prefix}update_time", int(now * 1000))
        took = int((time.monotonic() - begun) * 1000)
        self._engine.histogram_record(f"{self._prefix}update_duration", "ms", took)

    def _add(self, name: str, by: int) -> None:
        self._engine.counter_add(self._prefix + name, by)


def _stamps(paths: list[str]) -> list[_Stamp]:
    return [_stamp(path) for path in paths]


def _stamp(path: str) -> _Stamp:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # ValueError: what no file's name can be
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
