import os
from pathlib import Path

import pytest

from dragoman.server.concurrency import cgroup_limit, default_concurrency


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "self"
    path.write_text("0::/a/b\n")
    return path


def test_no_cgroups_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path / "none", tmp_path / "missing") is None


def test_v2_takes_the_tightest_of_the_path(tmp_path: Path, own: Path) -> None:
    root = tmp_path / "cg"
    write(root / "cpu.max", "max 100000\n")
    write(root / "a" / "cpu.max", "150000 100000\n")
    write(root / "a" / "b" / "cpu.max", "max 100000\n")
    assert cgroup_limit(root, own) == 1.5


def test_v2_in_a_container_reads_its_own_root(tmp_path: Path, own: Path) -> None:
    write(tmp_path / "cg" / "cpu.max", "50000 100000")
    assert cgroup_limit(tmp_path / "cg", own) == 0.5


def test_v1(tmp_path: Path) -> None:
    own = tmp_path / "self"
    own.write_text("4:cpu,cpuacct:/docker/x\n3:memory:/m\n")
    folder = tmp_path / "cg" / "cpu,cpuacct" / "docker" / "x"
    write(folder / "cpu.cfs_quota_us", "200000")
    write(folder / "cpu.cfs_period_us", "100000")
    assert cgroup_limit(tmp_path / "cg", own) == 2.0


def test_v1_without_limit(tmp_path: Path) -> None:
    folder = tmp_path / "cg" / "cpu"
    write(folder / "cpu.cfs_quota_us", "-1")
    write(folder / "cpu.cfs_period_us", "100000")
    assert cgroup_limit(tmp_path / "cg", tmp_path / "missing") is None


def test_at_least_one_and_at_most_the_affinity(tmp_path: Path, own: Path) -> None:
    write(tmp_path / "cg" / "cpu.max", "10000 100000")
    assert default_concurrency(tmp_path / "cg", own) == 1
    write(tmp_path / "cg" / "cpu.max", "max 100000")
    allowed = min(os.cpu_count() or 1, len(os.sched_getaffinity(0)))
    assert default_concurrency(tmp_path / "cg", own) == allowed
