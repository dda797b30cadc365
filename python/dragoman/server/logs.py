"""The process's own log, as Envoy writes it: one line format, a level per named component.

Python modules log through `logging.getLogger("dragoman.<component>")`; the engine's records come
in through `forward`. Nothing here decides what is worth logging.
"""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from dragoman.server.log_format import LineFormatter

TRACE = 5
OFF = 100

LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "off": OFF,
}

_COMPONENTS = """
    a2a admin ai_protocol_manager alternate_protocols_cache aws assert backtrace basic_auth
    cache_filter client config connection conn_handler compression credential_injector
    decompression dns dubbo envoy_bug ext_authz ext_proc rocketmq file filter forward_proxy
    geolocation grpc happy_eyeballs hc health_checker http http2 hystrix init io jwt json_rpc kafka
    key_value_store lua local_rate_limit main matcher mcp misc mongo multi_connection notification
    oauth2 quic quic_stream pool rate_limit_quota rbac rds redis router runtime stats secret sse
    tap testing thrift tracing upstream udp wasm websocket golang stats_sinks dynamic_modules
    ip_tagging
"""

#: Envoy's component names, in the order in which /logging lists them.
LOGGERS = tuple(_COMPONENTS.split())

_ROOT = "dragoman"


class Logs:
    """The log of this process. There is one at a time.

    Args:
        pattern: spdlog pattern of a line.
        path: file to append to; "" for standard error.
        escape: escape control characters in messages.

    Raises:
        OSError: `path` can't be opened.
    """

    def __init__(self, pattern: str, path: str = "", *, escape: bool = False) -> None:
        self._path = Path(path) if path else None
        self._formatter = LineFormatter(pattern, escape=escape)
        self._handler = logging.StreamHandler(self._open())
        self._handler.setFormatter(self._formatter)
        root = logging.getLogger(_ROOT)
        root.handlers = [self._handler]
        root.propagate = False
        self._others = logging.getLogger()
        # Libraries (uvicorn, asyncio) have something to say here only when something is wrong.
        self._others.handlers = [self._handler]
        self._others.setLevel(logging.WARNING)

    def set_pattern(self, pattern: str) -> None:
        """Lines look like `pattern` from now on."""
        self._formatter.compile(pattern)

    def levels(self) -> dict[str, str]:
        """The level of each component, in `LOGGERS`' order."""
        names = {number: name for name, number in LEVELS.items()}
        return {name: names[_logger(name).getEffectiveLevel()] for name in LOGGERS}

    def set_all(self, level: str) -> None:
        """Sets every component's level. Raises KeyError for an unknown level."""
        number = LEVELS[level]
        logging.getLogger(_ROOT).setLevel(number)
        for name in LOGGERS:
            _logger(name).setLevel(number)

    def set_one(self, name: str, level: str) -> None:
        """Sets one component's level. Raises KeyError for an unknown level or component."""
        if name not in LOGGERS:
            raise KeyError(name)
        _logger(name).setLevel(LEVELS[level])

    def reopen(self) -> None:
        """Opens the file anew (after it was moved away). Standard error stays as it is."""
        if self._path is None:
            return
        old = self._handler.setStream(self._open())
        if old is not None:
            old.close()

    def close(self) -> None:
        """Writes out and closes the file; what is logged later goes to standard error."""
        if self._path is not None:
            old = self._handler.setStream(sys.stderr)
            if old is not None:
                old.close()
            self._path = None

    def _open(self) -> TextIO:
        if self._path is None:
            return sys.stderr
        return self._path.open("a", encoding="utf-8", errors="backslashreplace")


def forward(records: Iterable[tuple[str, str, str]]) -> None:
    """Logs the engine's records: (level, component, message)."""
    for level, component, message in records:
        logger = _logger(component)
        number = LEVELS.get(level, logging.WARNING)
        if logger.isEnabledFor(number):
            record = logger.makeRecord(logger.name, number, "engine", 0, message, (), None)
            logger.handle(record)


def _logger(component: str) -> logging.Logger:
    return logging.getLogger(f"{_ROOT}.{component}")


def is_terminal() -> bool:
    """Whether people read standard error directly, and want colours."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
