"""How many workers to run when nobody says: what the machine, the affinity and cgroups allow."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def default_concurrency(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """The least of hardware threads, CPU affinity and the cgroup's CPU limit; at least 1."""
    limits = [os.cpu_count() or 1, len(os.sched_getaffinity(0))]
    quota = cgroup_limit(cgroups, own)
    if quota is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def cgroup_limit(cgroups: Path, own: Path) -> float | None:
    """CPUs that the process's cgroup (v2, else v1) or any above it may use; None: no limit."""
    limits = []
    for folder in _folders(cgroups, own):
        for read in (_v2, _v1):
            limit = read(folder)
            if limit is not None:
                limits.append(limit)
    return min(limits, default=None)


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """The process's cgroup and those above it, as seen in the mounted hierarchy."""
    folders = [cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct"]
    for line in _text(own).splitlines():
        # "0::/system.slice/x" (v2) or "4:cpu,cpuacct:/docker/x" (v1)
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = cgroups / controllers if controllers else cgroups
        folder = base / path.strip("/")
        while folder != cgroups and cgroups in folder.parents:
            folders.append(folder)
            folder = folder.parent
    return folders


def _v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return _ratio(quota, period)


def _v1(folder: Path) -> float | None:
    quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    return _ratio(quota.strip(), period.strip())


def _ratio(quota: str, period: str) -> float | None:
    """None for "max", -1, a missing file, or anything that isn't a number."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
