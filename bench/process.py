"""A started program: pinned to one core, its CPU time and memory read from /proc, ended by its id.

CPU time and memory are of the whole tree (threads and children). Knows nothing of what it runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

END_SECONDS = 5.0


@dataclass(frozen=True)
class CpuTime:
    """CPU time used so far, in ns. The kernel counts the total exactly and samples the split."""

    total: int
    user: int
    system: int

    def since(self, before: CpuTime) -> CpuTime:
        """What was used between two readings; the exact total divided in the sampled proportion."""
        total = self.total - before.total
        user, system = self.user - before.user, self.system - before.system
        share = user / (user + system) if user + system > 0 else 0.0
        return CpuTime(total, round(total * share), total - round(total * share))


@dataclass(frozen=True)
class Memory:
    """Memory in bytes: resident, proportional (shared pages divided), anonymous of the latter."""

    rss: int
    pss: int
    anonymous: int


def parse_stat(text: str) -> tuple[int, int, int]:
    """Parent's id, user ticks and system ticks from the text of /proc/<pid>/stat."""
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]), int(fields[12])


def parse_rollup(text: str) -> Memory:
    """From the text of /proc/<pid>/smaps_rollup (kB there, bytes here)."""
    found = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
    return Memory(found.get("Rss", 0), found.get("Pss", 0), found.get("Pss_Anon", 0))


def tree(root: int) -> list[int]:
    """`root` and its living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = parse_stat((entry / "stat").read_text())[0]
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


class Running:
    """A running program; made by `started`, which also ends it."""

    def __init__(self, name: str, popen: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log

    def cpu(self) -> CpuTime:
        """CPU time of all threads of the whole tree since their start."""
        tick = 10**9 // os.sysconf("SC_CLK_TCK")
        total = user = system = 0
        for pid in tree(self.popen.pid):
            with contextlib.suppress(OSError):
                _, user_ticks, system_ticks = parse_stat(Path(f"/proc/{pid}/stat").read_text())
                user, system = user + user_ticks * tick, system + system_ticks * tick
                for task in Path(f"/proc/{pid}/task").iterdir():
                    total += int((task / "schedstat").read_text().split()[0])
        return CpuTime(total, user, system)

    def memory(self) -> Memory:
        """Memory of the whole tree now."""
        parts = []
        for pid in tree(self.popen.pid):
            with contextlib.suppress(OSError):
                parts.append(parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text()))
        return Memory(
            sum(part.rss for part in parts),
            sum(part.pss for part in parts),
            sum(part.anonymous for part in parts),
        )

    def check_alive(self) -> None:
        """Raises `BenchError` with the last lines of its output when it has ended."""
        code = self.popen.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise BenchError(f"{self.name} ended with {code}: {tail}")

    def end(self) -> None:
        """Asks, waits, then insists; no process of the tree is left."""
        births = {pid: birth(pid) for pid in tree(self.popen.pid)}
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(END_SECONDS)
        for pid, born in births.items():
            # A child can outlive its parent; the birth tells it from a stranger with its old id.
            if born is not None and birth(pid) == born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.popen.wait()


def birth(pid: int) -> int | None:
    """When a process began, in ticks since boot; None when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    cores: Set[int],
    log: Path,
    environment: Mapping[str, str] | None = None,
    piped: bool = False,
) -> Iterator[Running]:
    """Runs `command` pinned to `cores` and ends it when the block is left, however that happens.

    Output goes to the file `log`, or with `piped` stdin and stdout are pipes of the caller.
    """
    with log.open("w") as output:
        pipe = subprocess.PIPE if piped else None
        popen = subprocess.Popen(
            list(command),
            stdin=pipe if piped else subprocess.DEVNULL,
            stdout=pipe if piped else output,
            stderr=output,
            text=True,
            env={**os.environ, **(environment or {})},
            # An own session: Ctrl-C reaches the harness alone, which ends the rest in order.
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    running = Running(Path(command[0]).name, popen, log)
    try:
        yield running
    finally:
        running.end()
        for stream in (popen.stdin, popen.stdout):
            if stream is not None:
                stream.close()
