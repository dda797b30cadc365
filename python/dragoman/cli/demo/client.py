"""A small HTTP/1.1 client with connections that are kept: enough for the demo's own peers.

Understands answers with a content-length only; the origins, the proxy's own replies and the admin
page all have one.
"""

import asyncio

_PATIENCE_S = 10.0


class AnswerError(Exception):
    """The connection failed, or the answer was cut short or can't be understood."""


class Client:
    """GET requests to one address. Connections are opened as needed and kept for the next."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, target: str) -> tuple[int, bytes]:
        """Status and body. Raises AnswerError."""
        writer = None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await self._connection()
                writer.write(f"GET {target} HTTP/1.1\r\nhost: {self._authority}\r\n\r\n".encode())
                status, length, keep = _head(await reader.readuntil(b"\r\n\r\n"))
                body = await reader.readexactly(length)
            if keep:
                self._idle.append((reader, writer))
                writer = None
            return status, body
        except (
            OSError,
            TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            raise AnswerError(str(error) or "no answer in time") from None
        finally:
            if writer is not None:
                writer.transport.abort()

    def close(self) -> None:
        """Closes the idle connections."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(self._host, self._port, limit=2**20)


def _head(head: bytes) -> tuple[int, int, bool]:
    """Status, content-length and whether the connection stays. Raises AnswerError."""
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, colon, value in (line.partition(":") for line in rest)
        if colon
    }
    status, length = first.split(" ")[1:2], fields.get("content-length", "")
    if not status or not status[0].isdecimal() or not length.isdecimal():
        raise AnswerError(f"an answer that begins with '{first}' and has no usable length")
    return int(status[0]), int(length), fields.get("connection", "").lower() != "close"
