"""spdlog's line patterns (`--log-format`) for Python's log records.

A pattern is compiled once into pieces: text, or a function of the record. `%_` and `%j` are
Envoy's own flags: the message with control characters escaped, and the message as JSON content.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

_Piece = Callable[[logging.LogRecord], str]

_NAMES = {5: "trace", 10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_ESCAPES = str.maketrans(
    {
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\f": "\\f",
        "\a": "\\a",
        "\b": "\\b",
        "\0": "\\0",
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
    }
)
#: Flags that strftime knows under the same letter.
_CLOCK = "aAbBcCYDxmdHIMSprRTX"
_CLOCK_AS = {"D": "%m/%d/%y", "x": "%m/%d/%y", "C": "%y", "r": "%I:%M:%S %p", "X": "%H:%M:%S"}


class LineFormatter(logging.Formatter):
    """Formats records as a spdlog pattern says."""

    def __init__(self, pattern: str, *, escape: bool = False) -> None:
        super().__init__()
        self._escape = escape
        self._pieces: list[_Piece] = []
        self.compile(pattern)

    def compile(self, pattern: str) -> None:
        """Takes `pattern` for the lines to come."""
        pieces: list[_Piece] = []
        at = 0
        while at < len(pattern):
            flag = pattern.find("%", at)
            if flag < 0 or flag + 1 == len(pattern):
                pieces.append(_constant(pattern[at:]))
                break
            if flag > at:
                pieces.append(_constant(pattern[at:flag]))
            at = self._flag(pattern, flag + 1, pieces)
        self._pieces = pieces

    def format(self, record: logging.LogRecord) -> str:
        return "".join(piece(record) for piece in self._pieces)

    def _flag(self, pattern: str, at: int, pieces: list[_Piece]) -> int:
        """Compiles the flag at `at` (after its %), with its alignment. Returns what follows."""
        start = at
        side = pattern[at] if pattern[at] in "-=" else ""
        at += len(side)
        digits = at
        while at < len(pattern) and pattern[at].isdigit():
            at += 1
        width = int(pattern[digits:at] or 0)
        cut = at < len(pattern) and pattern[at] == "!" and width > 0
        at += cut
        piece = self._piece(pattern[at : at + 1])
        if piece is None:
            pieces.append(_constant("%" + pattern[start : at + 1]))
        elif width:
            pieces.append(_padded(piece, width, side, cut))
        else:
            pieces.append(piece)
        return at + 1

    def _piece(self, flag: str) -> _Piece | None:
        if flag == "v":
            return _escaped if self._escape else _message
        if flag == "+":
            whole = LineFormatter("[%Y-%m-%d %T.%e] [%n] [%l] %v", escape=self._escape)
            return whole.format
        if flag and flag in _CLOCK:
            return _clock(_CLOCK_AS.get(flag, "%" + flag))
        return _PIECES.get(flag)


def _constant(text: str) -> _Piece:
    return lambda _record: text


def _padded(piece: _Piece, width: int, side: str, cut: bool) -> _Piece:
    def align(record: logging.LogRecord) -> str:
        text = piece(record)
        if cut:
            text = text[:width]
        if side == "-":
            return text.ljust(width)
        return text.center(width) if side == "=" else text.rjust(width)

    return align


def _clock(layout: str) -> _Piece:
    return lambda record: time.strftime(layout, time.localtime(record.created))


def _fraction(digits: int) -> _Piece:
    def read(record: logging.LogRecord) -> str:
        return f"{int(record.created * 1_000_000_000) % 1_000_000_000:09}"[:digits]

    return read


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    return text


def _escaped(record: logging.LogRecord) -> str:
    return _message(record).translate(_ESCAPES)


def _json_content(record: logging.LogRecord) -> str:
    # Few patterns have this flag, and json takes its time to import.
    import json

    return json.dumps(_message(record))[1:-1]


def _source(record: logging.LogRecord) -> str:
    """The source file, from the package's folder on."""
    _, package, rest = record.pathname.rpartition("dragoman/")
    return package + rest


def _zone(record: logging.LogRecord) -> str:
    offset = time.strftime("%z", time.localtime(record.created))
    return f"{offset[:3]}:{offset[3:]}"


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname.lower())


def _name(record: logging.LogRecord) -> str:
    return record.name.removeprefix("dragoman.")


_PIECES: dict[str, _Piece] = {
    "_": _escaped,
    "j": _json_content,
    "t": lambda _record: str(threading.get_native_id()),
    "P": lambda _record: str(os.getpid()),
    "n": _name,
    "l": _level,
    "L": lambda record: _level(record)[0].upper(),
    "h": _clock("%b"),
    "e": _fraction(3),
    "f": _fraction(6),
    "F": _fraction(9),
    "E": lambda record: str(int(record.created)),
    "i": lambda _record: "0",
    "z": _zone,
    "g": _source,
    "s": lambda record: record.filename,
    "#": lambda record: str(record.lineno),
    "!": lambda record: record.funcName or "",
    "@": lambda record: f"{_source(record)}:{record.lineno}",
    "^": lambda _record: "",
    "$": lambda _record: "",
    "%": lambda _record: "%",
}
