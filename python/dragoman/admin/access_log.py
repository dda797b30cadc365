"""The admin page's own access log, in Envoy's default format.

Only the default format is written, and only to files and the standard streams: what else a
configuration asks for is refused when the process starts.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

_LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers."
_FILE = f"{_LOGGERS}file.v3.FileAccessLog"
_STREAMS = {
    f"{_LOGGERS}stream.v3.StdoutAccessLog": "/dev/stdout",
    f"{_LOGGERS}stream.v3.StderrAccessLog": "/dev/stderr",
}


class Entry(NamedTuple):
    """One answered request."""

    started: float  # seconds since 1970
    method: str
    target: str
    protocol: str
    status: int
    bytes_received: int
    bytes_sent: int
    duration_ms: int
    headers: Mapping[str, str]

    def line(self) -> str:
        """As Envoy's default format; there is no upstream, so its fields are `-`."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.started))
        moment = f"{seconds}.{int(self.started * 1000) % 1000:03}Z"
        quoted = " ".join(f'"{_escaped(self.headers.get(name, "-"))}"' for name in _HEADERS)
        request = f"{self.method} {_escaped(self.target)} {self.protocol}"
        numbers = f"{self.status} - {self.bytes_received} {self.bytes_sent} {self.duration_ms}"
        return f'[{moment}] "{request}" {numbers} - {quoted} "-"\n'


_HEADERS = ("x-forwarded-for", "user-agent", "x-request-id", "host")


def _escaped(value: str) -> str:
    """A client's text can't end the quotes or the line."""
    return "".join(c if c.isprintable() and c != '"' else f"\\x{ord(c):02x}" for c in value)


class AccessLog:
    """Writes entries to `paths`. Raises OSError if one can't be opened."""

    def __init__(self, paths: Sequence[str]) -> None:
        # What goes to /dev/null need not be written.
        self._paths = [path for path in paths if path != "/dev/null"]
        self._files = [_open(path) for path in self._paths]

    @property
    def enabled(self) -> bool:
        """Whether anything is written at all."""
        return bool(self._files)

    def write(self, entry: Entry) -> None:
        """Appends a line to each file, at once: the admin page has few requests."""
        line = entry.line()
        for file in self._files:
            file.write(line)
            file.flush()

    def reopen(self) -> None:
        """Opens the files anew, after a rotation."""
        for index, path in enumerate(self._paths):
            if not path.startswith("/dev/"):
                self._files[index].close()
                self._files[index] = _open(path)

    def close(self) -> None:
        """Closes the files; nothing is written any more."""
        while self._files:
            file = self._files.pop()
            if file not in (sys.stdout, sys.stderr):
                file.close()


def _open(path: str) -> TextIO:
    streams = {"/dev/stdout": sys.stdout, "/dev/stderr": sys.stderr}
    return streams.get(path) or Path(path).open("a", encoding="utf-8")


def paths_of(admin: Mapping[str, Any]) -> list[str]:
    """The files that the `admin` block (as JSON) logs to.

    Raises:
        ValueError: a logger, format or filter that the admin page doesn't have.
    """
    paths = [admin["access_log_path"]] if "access_log_path" in admin else []
    for index, logger in enumerate(admin.get("access_log", [])):
        where = f"admin.access_log[{index}]"
        config = logger.get("typed_config", {})
        kind = config.get("@type", "")
        if kind != _FILE and kind not in _STREAMS:
            raise ValueError(f"{where}: the admin page logs to files and standard streams only")
        if "filter" in logger or config.keys() - {"@type", "path"}:
            raise ValueError(f"{where}: the admin page logs all requests, in the default format")
        paths.append(_STREAMS.get(kind) or config["path"])
    return paths
