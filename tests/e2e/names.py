"""A DNS server for one process: that process sees an /etc/resolv.conf of its own.

Needs the right to make a mount namespace and to bind port 53 (on an address nobody else uses).
Answers A queries from a table, with TTL 0; names that aren't in it don't exist.
"""

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "127.53.53.53"
_A = 1
_NO_ERROR, SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3


class Names:
    """`table` maps names to IPv4 addresses. With `failing` set every query is SERVFAIL."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {}
        self.failing = False
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(20)
        try:
            self._socket.bind((ADDRESS, 53))
        except OSError:
            self._socket.close()
            raise
        self._ended = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(b"", (ADDRESS, 53))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended:
            try:
                query, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            if len(query) > 12:
                self._socket.sendto(self._answer(query), peer)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = query[12 : at + 5]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        found = self.table.get(".".join(labels).lower())
        addresses = found if found is not None and kind == _A else []
        code = _NO_ERROR if found is not None else _NO_SUCH_NAME
        if self.failing:
            addresses, code = [], SERVER_FAILURE
        self.asked += 1
        head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(addresses), 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, _A, 1, 0, 4)
        return head + question + b"".join(record + socket.inet_aton(a) for a in addresses)


@contextmanager
def serving_names() -> Iterator[Names]:
    """Raises OSError where the port may not be bound."""
    names = Names()
    try:
        yield names
    finally:
        names.close()


def under_names(folder: Path, command: list[str]) -> list[str]:
    """`command` in a mount namespace whose /etc/resolv.conf names that server.

    Raises OSError where that isn't possible.
    """
    conf = folder / "resolv.conf"
    conf.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
    script = f'mount --bind {conf} /etc/resolv.conf && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        raise OSError("no mount namespace")
    return [*inside, *command]
