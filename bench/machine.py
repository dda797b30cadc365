"""What is measured on: facts of the machine, the two cores, free ports.

Knows nothing of proxies.
"""

from __future__ import annotations

import os
import platform
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError


@dataclass(frozen=True)
class Cores:
    """Who runs where: the proxy has `proxy` alone; load, origin and harness share `load`."""

    proxy: int
    load: int

    def of(self, workers: int) -> set[int]:
        """Where a proxy of so many workers runs."""
        return {self.proxy} if workers == 1 else {self.proxy, self.load}


def pick_cores() -> Cores:
    """The first two cores this process may use: load on the first, the proxy on the second."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError("two CPU cores are needed: one for the proxy, one for the load")
    return Cores(proxy=usable[1], load=usable[0])


def raise_descriptor_limit() -> int:
    """Lifts the soft limit of open files to the hard one and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_model(cpuinfo: str) -> str:
    """The model name in the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def facts() -> dict[str, str | int]:
    """What a reader needs to place the figures; memory in MiB."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "memory_mib": pages >> 20,
    }


def busy_ns(stat: str, core: int) -> int:
    """Time that `core` was not idle since boot, in ns, from the text of /proc/stat.

    Counts every state but idle and iowait, so also interrupts and time stolen by the hypervisor.
    """
    for line in stat.splitlines():
        fields = line.split()
        if fields and fields[0] == f"cpu{core}":
            ticks = [int(field) for field in fields[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) * (10**9 // os.sysconf("SC_CLK_TCK"))
    raise BenchError(f"/proc/stat has no line for core {core}")
