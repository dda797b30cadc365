"""Connections that the kernel's packet filter redirects to the proxy."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.redirected import NOT_HERE

_INSIDE = ["unshare", "--net"]


def test_a_redirected_connection_reaches_where_it_was_for(tmp_path: Path) -> None:
    if shutil.which("nft") is None:
        pytest.skip("needs nftables")
    if subprocess.run([*_INSIDE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("may not make a network namespace")
    command = [*_INSIDE, sys.executable, "-m", "tests.e2e.redirected", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(f"the packet filter can't redirect: {done.stderr}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answers"] == ["ok", "ok"]
    assert told["stats"] == {
        "tcp.all.downstream_cx_total": "1", "tcp.one.downstream_cx_total": "1",
    }  # fmt: skip
