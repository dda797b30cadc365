"""Who holds a TCP port on this machine: for the error message when binding it fails.

Reads /proc, so it sees only what this user may see. It never fails: no answer is an answer.
"""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"


def port_holder(port: int, proc: Path = _PROC) -> str | None:
    """`name (pid 123)` of a process that listens on TCP `port`, if one can be found."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.iterdir():
        if process.name.isdigit() and _holds(process, links):
            with suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    """Inodes of the listening sockets on `port`, from /proc/net/tcp and tcp6."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                local_port = int(columns[1].rpartition(":")[2], 16)
                if local_port == port and columns[3] == _LISTEN:
                    inodes.add(columns[9])
    return inodes


def _holds(process: Path, links: set[str]) -> bool:
    """Whether one of the process's descriptors is one of `links`."""
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                # A socket's link leads nowhere: only its text counts.
                if os.readlink(descriptor) in links:  # noqa: PTH115
                    return True
    return False
