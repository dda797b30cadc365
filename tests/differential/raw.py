"""Connections without HTTP: what an origin says on them, and how their two sides ended.

A TCP connection ends twice, once a side, and the order matters; so what happened is kept as a list.
Must not know of proxies or cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

TALKS = ("http", "echo", "quiet", "deaf")  # what an origin does with what it gets
TCP_CLOSE = 7  # of Linux's tcp_info: its first byte is the state


class Ends:
    """The ends of a connection's two sides, in order, as seen from this side."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def note(self, event: str) -> None:
        """`FIN sent`, `FIN received`, `RST sent`, `RST received` or `closed`."""
        if event not in self.events:
            self.events.append(event)

    @property
    def received(self) -> bool:
        """Whether the peer has ended its side."""
        return any(event.endswith("received") for event in self.events)

    def __str__(self) -> str:
        return ", then ".join(self.events) or "open"


def look_for_reset(ends: Ends, writer: Any) -> None:
    """Notes a RST that came after the peer's FIN, where nobody reads any more."""
    if writer is None or ends.events != ["FIN received"]:
        return
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # a Unix socket, or gone
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE:
            ends.note("RST received")


async def pump(reader: Any, writer: Any, ends: Ends) -> bytes:
    """The next bytes; none at the end, which is noted. ConnectionErrors are noted and passed on."""
    try:
        data: bytes = await reader.read(65536)
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        ends.note("RST received")
        raise
    if not data and not writer.transport.is_closing():
        ends.note("FIN received")
    return data
