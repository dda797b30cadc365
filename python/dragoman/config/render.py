"""Diagnostics as text (with the source line and a caret) and as JSON."""

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from dragoman.config.diagnostics import ERROR, Diagnostic

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "dim": "\x1b[1;34m", "bold": "\x1b[1m"}
_RESET = "\x1b[0m"
# A minified JSON file is one line: show only the part around the caret.
_SHOWN = 120


def wants_colour(stream: TextIO) -> bool:
    """True if `stream` is a terminal and NO_COLOR isn't set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def render_text(diagnostics: Iterable[Diagnostic], *, colour: bool | None = None) -> str:
    """The diagnostics for a human, and a last line that counts them; "" if there are none.

    `colour`: None decides by standard error being a terminal.
    """
    found = list(diagnostics)
    if not found:
        return ""
    paint = _painter(wants_colour(sys.stderr) if colour is None else colour)
    parts = [_one(each, paint) for each in found]
    errors = sum(each.severity == ERROR for each in found)
    parts.append(_count(errors, "error") + ", " + _count(len(found) - errors, "warning"))
    return "\n".join(parts) + "\n"


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """`{"errors": n, "warnings": n, "diagnostics": [...]}` with lines and columns from 1."""
    import json

    found = list(diagnostics)
    errors = sum(each.severity == ERROR for each in found)
    rows = []
    for each in found:
        row: dict[str, object] = {
            "code": each.code,
            "name": each.name,
            "severity": each.severity,
            "message": each.message,
            "file": each.position.file,
        }
        if each.position.line:
            row["line"] = each.position.line
            row["column"] = each.position.column
            row["end_column"] = each.position.column + each.position.width
        if each.path:
            row["path"] = each.path
        if each.help:
            row["help"] = each.help
        rows.append(row)
    answer = {"errors": errors, "warnings": len(found) - errors, "diagnostics": rows}
    return json.dumps(answer, indent=1, ensure_ascii=False) + "\n"


class _painter:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, style: str, text: str) -> str:
        return f"{_COLOURS[style]}{text}{_RESET}" if self._colour else text


def _one(each: Diagnostic, paint: _painter) -> str:
    head = paint(each.severity, f"{each.severity}[{each.code}]")
    lines = [f"{head}: {paint('bold', _printable(each.message))}"]
    gutter = " " * len(str(each.position.line or 1))
    bar = paint("dim", f"{gutter} |")
    lines.append(f"{gutter}{paint('dim', '-->')} {each.position}")
    if each.excerpt:
        text, column = _window(_printable(each.excerpt), each.position.column)
        width = max(1, min(each.position.width, len(text) - column + 1))
        lines.append(bar)
        lines.append(f"{paint('dim', f'{each.position.line} |')} {text}")
        lines.append(f"{bar} {' ' * (column - 1)}{paint(each.severity, '^' * width)}")
    if each.path:
        lines.append(f"{gutter} {paint('dim', '=')} field: {_printable(each.path)}")
    if each.help:
        lines.append(f"{gutter} {paint('dim', '=')} help: {_printable(each.help)}")
    return "\n".join(lines) + "\n"


def _window(text: str, column: int) -> tuple[str, int]:
    """The part of a long line around `column`, and the column inside it."""
    if len(text) <= _SHOWN:
        return text, column
    start = max(0, min(column - _SHOWN // 2, len(text) - _SHOWN))
    return text[start : start + _SHOWN], column - start


def _printable(text: str) -> str:
    """`text` with what could move the cursor or colour a terminal made harmless, same length."""
    return "".join(c if c.isprintable() else (" " if c == "\t" else "\ufffd") for c in text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
