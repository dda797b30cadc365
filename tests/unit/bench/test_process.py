"""What the benchmark reads from /proc, and that it ends what it started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.machine import busy_ns, cpu_model
from bench.process import CpuTime, Memory, birth, parse_rollup, parse_stat, started, tree


def test_stat_with_a_name_full_of_traps() -> None:
    text = "17 (a) b (c) R 5 17 17 0 -1 0 1 2 3 4 111 222 0 0 20 0 1 0 999 0 0"
    assert parse_stat(text) == (5, 111, 222)


def test_rollup_is_in_bytes() -> None:
    text = "00-ff ---p 0 00:00 0 [rollup]\nRss:    1700 kB\nPss:  277 kB\nPss_Anon:   112 kB\n"
    assert parse_rollup(text) == Memory(1700 * 1024, 277 * 1024, 112 * 1024)


def test_cpu_time_divides_the_exact_total_in_the_sampled_proportion() -> None:
    before, after = CpuTime(1_000, 100, 300), CpuTime(9_000, 300, 900)
    assert after.since(before) == CpuTime(8_000, 2_000, 6_000)
    assert CpuTime(9, 0, 0).since(CpuTime(1, 0, 0)) == CpuTime(8, 0, 8)


def test_busy_time_leaves_out_idle_and_iowait() -> None:
    stat = "cpu  9 9 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 10 0 20 500 7 1 2 3 0 0\n"
    assert busy_ns(stat, 1) == 36 * (10**9 // os.sysconf("SC_CLK_TCK"))
    with pytest.raises(BenchError):
        busy_ns(stat, 2)


def test_cpu_model() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU: fast\n") == "Some CPU: fast"


def test_a_started_tree_is_pinned_counted_and_ended(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    # The child ignores SIGTERM and would outlive its parent.
    child = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    code = (
        "import subprocess,sys,time; "
        f"subprocess.Popen([sys.executable, '-c', \"{child}; time.sleep(60)\"]); time.sleep(60)"
    )
    log = tmp_path / "log"
    with started([sys.executable, "-c", code], cores={core}, log=log) as running:
        give_up = time.monotonic() + 20
        while "up" not in log.read_text() and time.monotonic() < give_up:
            time.sleep(0.01)
        pids = tree(running.popen.pid)
        assert len(pids) == 2
        assert [os.sched_getaffinity(pid) for pid in pids] == [{core}, {core}]
        assert running.cpu().total > 0
        assert running.memory().rss > running.memory().anonymous > 0
        births = {pid: birth(pid) for pid in pids}
        running.check_alive()
    give_up = time.monotonic() + 20
    while any(births[pid] == birth(pid) for pid in pids) and time.monotonic() < give_up:
        time.sleep(0.01)  # init takes the orphan's remains away in its own time
    assert not any(births[pid] == birth(pid) for pid in pids)


def test_a_program_that_ends_by_itself_is_reported_with_its_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such option')"]
    with started(command, cores={min(os.sched_getaffinity(0))}, log=tmp_path / "log") as running:
        running.popen.wait()
        with pytest.raises(BenchError, match="ended with 1: no such option"):
            running.check_alive()
