"""How much memory the process uses, as the kernel counts it."""

import os
from pathlib import Path


def memory_usage() -> dict[str, int]:
    """Bytes: allocated (private pages in use), heap_size (data segment), physical_size (RSS)."""
    page = os.sysconf("SC_PAGESIZE")
    # size resident shared text lib data dt, in pages (proc(5))
    columns = [int(n) * page for n in Path("/proc/self/statm").read_text().split()]
    return {
        "allocated": columns[1] - columns[2],
        "heap_size": columns[5],
        "physical_size": columns[1],
    }
