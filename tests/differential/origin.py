"""A recording origin: a TCP server that keeps every byte it got and plays scripted answers.

One Origin stands behind one cluster of a case. Each complete request (or connection, for answers
with `when: connect`) takes the next scripted answer; with none left, a small 200 naming the origin.
It must not know which proxy is talking to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .content import CaseError, to_bytes
from .framing import Incomplete, parse
from .raw import TALKS, Ends, look_for_reset, pump
from .tls import Alerted, HandshakeFailed, TlsStream, make_context

ACTIONS = ("close", "cut", "reset", "half_close", "hang", "listen")


def reset(writer: asyncio.StreamWriter | TlsStream) -> None:
    """Closes with RST instead of FIN (linger 0)."""
    sock: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # already gone: nothing left to reset
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FullListener:
    """A port whose accept queue is full, so that connecting to it hangs: SYNs are dropped."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._fillers = [socket.socket() for _ in range(4)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    def close(self) -> None:
        """Frees the port."""
        for sock in (self._listener, *self._fillers):
            sock.close()


@dataclass
class Answer:
    """What the origin does on connect, once a request's head is in, once it is complete.

    Without HTTP, `complete` comes once `after` more bytes are there.
    """

    complete: list[Any] = field(default_factory=list)
    head: list[Any] = field(default_factory=list)
    connect: list[Any] = field(default_factory=list)
    after: int = 1


@dataclass
class Upstream:
    """One connection that a proxy opened to this origin."""

    number: int
    writer: asyncio.StreamWriter | TlsStream
    received: bytearray = field(default_factory=bytearray)
    end: str = "open"
    parsed: int = 0
    tls: str = ""
    ends: Ends = field(default_factory=Ends)
    raw: bool = False
    listening: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Whether a side has ended; of a raw connection, whether the proxy's has."""
        return self.ends.received if self.raw else self.end != "open"

    def look(self) -> str:
        """How a raw connection's two sides ended, as of now."""
        look_for_reset(self.ends, self.writer)
        return str(self.ends)


class Origin:
    """Listens on 127.0.0.1:`port`, or on a Unix socket at `path`.

    `name` is what its default answer says; `tls` makes it speak TLS. It talks HTTP, sends back what
    it gets and ends when its peer does (`echo`), says only what it is told (`quiet`), or doesn't
    even read before it is told to `listen` (`deaf`).
    """

    def __init__(
        self, name: str, port: int = 0, path: str = "", tls: dict[str, Any] | None = None,
        talks: str = "http",
    ) -> None:  # fmt: skip
        assert talks in TALKS
        self.name = name
        self.talks = talks
        self.port = port
        self.path = path
        self.connections: list[Upstream] = []
        self.answers: deque[Answer] = deque()
        self.requests = 0
        self._tls = make_context(tls, server=True) if tls else None
        self.changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Binds and listens."""
        if self.path:
            self._server = await asyncio.start_unix_server(self._serve, self.path)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Closes the listening socket and every connection."""
        if self._server:
            self._server.close()
        for connection in self.connections:
            connection.writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def _touch(self) -> None:
        self.changed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Upstream(len(self.connections) + 1, writer, raw=self.talks != "http")
        self.connections.append(connection)
        self._touch()
        try:
            stream = await self._shake_hands(connection, reader, writer)
            if connection.raw:
                await self._talk(connection, stream)
            else:
                await self._converse(connection, stream)
        except HandshakeFailed:
            connection.end = "closed in the handshake"
            writer.close()
        except Alerted as alert:
            connection.tls += f"; then {alert}"
            connection.end = "closed by proxy"
            writer.close()
        except (ConnectionError, asyncio.CancelledError):
            if connection.end == "open":
                connection.end = "reset by proxy"
        finally:
            self._tasks.discard(task)
            self._touch()

    async def _shake_hands(
        self, connection: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> asyncio.StreamReader | TlsStream:
        """What to read from: `reader`, or TLS above it. Raises HandshakeFailed."""
        if self._tls is None:
            return reader
        stream = TlsStream(reader, writer, self._tls, server=True)
        try:
            await stream.handshake()
        except HandshakeFailed as failure:
            connection.tls = f"handshake failed: {failure} ({stream.hello})"
            raise
        connection.tls = f"{stream.described} ({stream.hello})"
        connection.writer = stream
        return stream

    async def _converse(
        self, connection: Upstream, reader: asyncio.StreamReader | TlsStream
    ) -> None:
        if self.answers and self.answers[0].connect:
            await self.play(connection, self.answers.popleft().connect)
        while connection.end in ("open", "half-closed by origin"):
            data = await reader.read(65536)
            if not data:
                connection.end = "closed by proxy"
                connection.writer.close()
                return
            connection.received += data
            self._touch()
            await self._answer(connection)

    async def _talk(self, connection: Upstream, reader: asyncio.StreamReader | TlsStream) -> None:
        """What `_converse` is, without HTTP: answers where some are queued, else an echo."""
        if self.answers and self.answers[0].connect:
            await self.play(connection, self.answers.popleft().connect)
        if self.talks == "deaf":
            await connection.listening.wait()
        while data := await pump(reader, connection.writer, connection.ends):
            connection.received += data
            self._touch()
            if not self.answers and self.talks == "echo":
                connection.writer.write(data)
                await connection.writer.drain()
            while self.answers and self._has(connection, self.answers[0].after):
                answer = self.answers.popleft()
                connection.parsed += answer.after
                await self.play(connection, answer.complete)
        if connection.end == "open" and self.talks == "echo":
            self._act(connection, "close")
        self._touch()

    @staticmethod
    def _has(connection: Upstream, more: int) -> bool:
        return len(connection.received) - connection.parsed >= more

    async def _answer(self, connection: Upstream) -> None:
        while connection.end == "open":
            rest = bytes(connection.received[connection.parsed :])
            if self.answers and self.answers[0].head and b"\r\n\r\n" in rest:
                # Taken off its answer, so that more body bytes do not play it again.
                early, self.answers[0].head = self.answers[0].head, []
                await self.play(connection, early)
                if connection.end != "open":
                    self.answers.popleft()
                    return
            try:
                message = parse(rest, "request")
            except Incomplete:
                return
            connection.parsed += message.size
            self.requests += 1
            answer = self.answers.popleft() if self.answers else self._default()
            await self.play(connection, answer.complete)
            self._touch()

    def _default(self) -> Answer:
        body = self.name.encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
        return Answer([{"raw": (head + body).decode()}])

    async def play(self, connection: Upstream, parts: list[Any]) -> None:
        """Sends bytes, waits and closes as `parts` say."""
        for part in parts:
            if isinstance(part, dict) and "pause_ms" in part:
                await asyncio.sleep(part["pause_ms"] / 1000)
            elif isinstance(part, dict) and "do" in part:
                self._act(connection, part["do"])
            else:
                connection.writer.write(to_bytes(part))
                await connection.writer.drain()

    def _act(self, connection: Upstream, action: str) -> None:
        if action not in ACTIONS:
            raise CaseError(f"unknown action {action!r}; known: {', '.join(ACTIONS)}")
        if action == "close":
            connection.end = "closed by origin"
            connection.ends.note("closed")
            connection.writer.close()
        elif action == "cut":  # under TLS: without close_notify
            connection.end = "closed by origin"
            connection.ends.note("closed")
            connection.writer.transport.close()
        elif action == "listen":
            connection.listening.set()
        elif action == "reset":
            connection.end = "reset by origin"
            connection.ends.note("RST sent")
            reset(connection.writer)
        elif action == "half_close":
            connection.end = "half-closed by origin"
            connection.ends.note("FIN sent")
            connection.writer.write_eof()
