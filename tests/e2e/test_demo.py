"""`dragoman demo` as a user runs it: real origins, a real proxy, and nothing left behind."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "dragoman", "demo"]
NUMBER = r" +[\d.]+s?"
#: A route's or endpoint's row whose percentiles since the start are all there.
ROW = r"^{name} *│.*│ +\d+ +[\d.]+%" + 4 * NUMBER


def wait(condition: Callable[[], bool], what: str) -> None:
    """Waits, bounded, until `condition` holds."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"waited in vain until {what}")


def running_in(folder: Path) -> list[str]:
    """Command lines of the processes whose TMPDIR is `folder`: the demo's, all of them."""
    mark = b"TMPDIR=" + os.fsencode(folder)
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def nothing_left(folder: Path) -> None:
    wait(lambda: not running_in(folder), "the demo's processes are gone")
    assert list(folder.iterdir()) == []


@contextmanager
def started(
    folder: Path, *options: str, output: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE if output == subprocess.PIPE else output,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "TERM": "xterm-256color"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_piped_it_prints_percentiles_of_routes_and_endpoints(tmp_path: Path) -> None:
    with started(tmp_path, "--seconds", "3") as process:
        wait(lambda: len(running_in(tmp_path)) == 3, "origins and proxy run")
        shown, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    for route in ("steady", "slow", "failing", "mixed"):
        assert re.search(ROW.format(name=route), shown, re.MULTILINE), shown
    for endpoint in ("steady", "slow", "failing"):
        row = ROW.format(name=rf"[├└] {endpoint} \d+")
        assert len(re.findall(row, shown, re.MULTILINE)) >= 2, shown
    assert re.search(r"admin page http://127\.0\.0\.1:\d+ ", shown)
    nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("dragoman demo")
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    nothing_left(tmp_path)


def test_a_signal_while_it_starts(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait(lambda: len(running_in(tmp_path)) >= 2, "the first child runs")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    nothing_left(tmp_path)


def test_children_end_even_if_it_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait(lambda: len(running_in(tmp_path)) == 3, "origins and proxy run")
        process.kill()
    wait(lambda: not running_in(tmp_path), "the demo's processes are gone")


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    nothing_left(tmp_path)


def test_it_says_why_the_proxy_cannot_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(tmp_path, "--admin", f":{port}") as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: the proxy ended with code 1")
    assert f"127.0.0.1:{port}" in errors
    nothing_left(tmp_path)


def test_a_terminal_is_given_back(tmp_path: Path) -> None:
    main, other = pty.openpty()
    shown = bytearray()

    def read_until(mark: bytes) -> None:
        for _ in range(10_000):
            if mark in shown:
                return
            shown.extend(os.read(main, 65536))
        pytest.fail(f"no {mark!r} in {shown!r}")

    try:
        with started(tmp_path, output=other) as process:
            read_until(b"mixed")
            assert b"\x1b[?1049h" in shown
            assert b"\x1b[?1049l" not in shown
            process.send_signal(signal.SIGINT)
            read_until(b"\x1b[?1049l")
            assert process.wait(timeout=30) == 0
        assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    finally:
        os.close(main)
        os.close(other)
    nothing_left(tmp_path)
