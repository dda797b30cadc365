"""HTTP/1.1 message boundaries, as the harness's own client and origin need them.

Strategy: look at the bytes received so far and say where the first message ends, or that more is
needed. It is lenient on purpose (it must cope with what a proxy under test lets through) and it
must not know of cases, sockets or proxies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["request", "response"]


@dataclass
class Message:
    """One parsed message. `framing` is none | length | chunked | close | tunnel."""

    start_line: str
    headers: list[tuple[str, str]]
    framing: str
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0

    def values(self, name: str) -> list[str]:
        """All values of a header, in order; `name` in lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def status(self) -> int:
        """The status code of a response, 0 when the start line holds none."""
        words = self.start_line.split(" ")
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    @property
    def method(self) -> str:
        """The first word of a request line."""
        return self.start_line.split(" ")[0]


class Incomplete(Exception):
    """More bytes are needed before the message ends."""


def split_lines(block: bytes) -> list[str]:
    """Header lines as text; latin-1 keeps every byte visible."""
    return [line.decode("latin-1") for line in block.split(b"\r\n")]


def parse_fields(lines: list[str]) -> list[tuple[str, str]]:
    """Field lines as (name, value); a line without a colon becomes (line, '')."""
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name, value.strip(" ")))
    return fields


def parse(data: bytes, kind: Kind, *, method: str = "GET", ended: bool = False) -> Message:
    """The first message in `data`.

    `method` is the method of the request that a response answers; `ended` says that the peer
    has closed its side, which ends a close-delimited body. Raises Incomplete.
    """
    cut = data.find(b"\r\n\r\n")
    if cut < 0:
        raise Incomplete
    lines = split_lines(data[:cut])
    message = Message(lines[0], parse_fields(lines[1:]), "none")
    start = cut + 4
    message.framing = _framing(message, kind, method)
    if message.framing == "length":
        end = start + _length(message)
        if len(data) < end:
            raise Incomplete
        message.body = data[start:end]
        message.size = end
    elif message.framing == "chunked":
        message.body, message.trailers, message.size = read_chunked(data, start)
    elif message.framing in ("close", "tunnel"):
        if not ended:
            raise Incomplete
        message.body = data[start:]
        message.size = len(data)
    else:
        message.size = start
    return message


def _framing(message: Message, kind: Kind, method: str) -> str:
    chunked = "chunked" in ",".join(message.values("transfer-encoding")).lower()
    if kind == "response":
        if message.status == 101 or (method == "CONNECT" and 200 <= message.status < 300):
            return "tunnel"
        if method == "HEAD" or message.status in (204, 304) or message.status < 200:
            return "none"
    if chunked:
        return "chunked"
    if message.values("content-length"):
        return "length" if _length(message) else "none"
    return "close" if kind == "response" else "none"


def _length(message: Message) -> int:
    value = message.values("content-length")[0].strip()
    return int(value) if value.isdigit() and len(value) < 10 else 0


def read_chunked(data: bytes, start: int) -> tuple[bytes, list[tuple[str, str]], int]:
    """Body, trailers and end offset of a chunked body at `start`. Raises Incomplete."""
    body = bytearray()
    while True:
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            raise Incomplete
        size_text = data[start:line_end].split(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise Incomplete from None
        start = line_end + 2
        if size == 0:
            return _end_of_chunks(data, start, bytes(body))
        if len(data) < start + size + 2:
            raise Incomplete
        body += data[start : start + size]
        start += size + 2


def _end_of_chunks(
    data: bytes, start: int, body: bytes
) -> tuple[bytes, list[tuple[str, str]], int]:
    if data[start : start + 2] == b"\r\n":
        return body, [], start + 2
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        raise Incomplete
    return body, parse_fields(split_lines(data[start:end])), end + 4
