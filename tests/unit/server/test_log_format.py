import logging
import time
from pathlib import Path

import pytest

import dragoman
from dragoman.server.log_format import LineFormatter

MOMENT = time.mktime((2026, 11, 23, 20, 6, 41, 0, 0, -1)) + 0.298765
HERE = str(Path(dragoman.__file__).parent / "server" / "run.py")


def line(pattern: str, message: str = "hello", *, escape: bool = False) -> str:
    record = logging.LogRecord(
        "dragoman.main", logging.WARNING, HERE, 42, message, (), None, "serve"
    )
    record.created = MOMENT
    return LineFormatter(pattern, escape=escape).format(record)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("[%Y-%m-%d %T.%e][%l][%n] %v", "[2026-11-23 20:06:41.298][warning][main] hello"),
        ("%g:%# %s %!", "dragoman/server/run.py:42 run.py serve"),
        ("%H:%M:%S %I %p %y", "20:06:41 08 PM %y"),
        ("%f|%L|%%|%^%v%$", "298765|W|%|hello"),
        ("[%-8l][%8l][%=9l][%3!l]", "[warning ][ warning][ warning ][war]"),
        ("%Q %é", "%Q %é"),
        ("100%", "100%"),
        ("", ""),
    ],
)
def test_patterns(pattern: str, text: str) -> None:
    assert line(pattern) == text


def test_nanoseconds() -> None:
    assert line("%F").startswith("29876")
    assert len(line("%F")) == 9


def test_escapes() -> None:
    assert line("%_", 'a\nb\t"c"\\') == 'a\\nb\\t\\"c\\"\\\\'
    assert line("%v", "a\nb", escape=True) == "a\\nb"
    assert line("%v", "a\nb") == "a\nb"


def test_json_content() -> None:
    assert line('{"m":"%j"}', 'say "hi"\n') == '{"m":"say \\"hi\\"\\n"}'


def test_a_new_pattern_counts_at_once() -> None:
    formatter = LineFormatter("%v")
    formatter.compile("%l")
    record = logging.LogRecord("dragoman.http", 5, HERE, 1, "x", (), None)
    assert formatter.format(record) == "trace"
