"""Turns what was recorded into the text that is compared and that a human reads.

Framing is shown (length, chunked, until close) but not chunk borders: they follow from the timing
of reads. Must not know of the comparison's outcome.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from . import grpc, http2
from .client import Connection, request_methods
from .framing import Incomplete, Kind, Message, parse, parse_fields, read_chunked, split_lines
from .hello import shown_in_clear
from .normalise import Normaliser
from .origin import Origin, Upstream

SHOWN_BODY = 1000
LARGE = 100_000  # nothing is masked in what is longer: that would take seconds


@dataclass
class Observation:
    """One run of one case: sections of text to compare, and the plain facts for `must`."""

    sections: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    client_ends: dict[str, str] = field(default_factory=dict)
    origin_requests: int = 0
    origin_bytes: bytes = b""
    client_bytes: bytes = b""
    log: str = ""
    refused: str = ""
    fault: str = ""
    header_orders: dict[str, list[str]] = field(default_factory=dict)


def show_bytes(data: bytes, masks: Normaliser) -> str:
    """Bytes as one line of text: escapes visible, long ones cut but told apart by their hash."""
    if len(data) > LARGE:
        start = data[:60].decode("latin-1").encode("unicode_escape").decode("ascii")
        return f"{start}… ({len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]})"
    text = masks.text(data.decode("latin-1"))
    shown = text.encode("unicode_escape").decode("ascii")
    if len(shown) > SHOWN_BODY:
        digest = hashlib.sha256(text.encode("latin-1")).hexdigest()[:12]
        shown = f"{shown[:60]}… ({len(text)} bytes, sha256 {digest})"
    return shown


def show_message(message: Message, masks: Normaliser) -> list[str]:
    """Start line, headers, body with its framing, trailers."""
    lines = [masks.text(message.start_line), *masks.headers(message.headers)]
    if message.framing != "none" or message.body:
        body = grpc.told(message.start_line, message.body) or show_bytes(message.body, masks)
        lines.append(f"  body ({message.framing}): {body}")
    lines += [f"  trailer {line}" for line in masks.headers(message.trailers)]
    return [_cut(line) for line in lines]


def _cut(line: str) -> str:
    if len(line) <= 2 * SHOWN_BODY:
        return line
    digest = hashlib.sha256(line.encode("latin-1", "replace")).hexdigest()[:12]
    return f"{line[:80]}… ({len(line)} characters, sha256 {digest})"


def show_rest(rest: bytes, masks: Normaliser) -> list[str]:
    """Bytes that are no complete message: the head if there is one, then what follows."""
    if in_clear := shown_in_clear(rest):
        return [f"  TLS: {in_clear}"]
    cut = rest.find(b"\r\n\r\n")
    if cut < 0:
        return [f"  unfinished: {show_bytes(rest, masks)}"]
    lines = split_lines(rest[:cut])
    shown = [masks.text(lines[0]), *masks.headers(parse_fields(lines[1:]))]
    body = rest[cut + 4 :]
    if b"chunked" in rest[:cut].lower():
        body = b"(chunked) " + _chunks_so_far(body)
    shown.append(f"  body unfinished: {show_bytes(body, masks)}")
    return [_cut(line) for line in shown]


def _chunks_so_far(data: bytes) -> bytes:
    # A closing chunk is laid behind ever shorter prefixes until it parses: few bytes, few steps.
    for size in range(min(len(data), 4096), -1, -1):
        try:
            return read_chunked(data[:size] + b"0\r\n\r\n", 0)[0]
        except Incomplete:
            continue
    return data


def show_raw(data: bytes, masks: Normaliser) -> list[str]:
    """The bytes of a connection that carries no HTTP."""
    if in_clear := shown_in_clear(data):
        return [f"  TLS: {in_clear}"]
    return [f"  {len(data)} bytes: {show_bytes(data, masks)}"]


def shown_end(connection: Connection | Upstream) -> str:
    """How a connection ended, as compared; of one without HTTP, in all detail.

    Whether a proxy's close arrives as FIN or RST hangs on bytes it had not read yet: timing. What a
    RST can do harm to, the answer before it, is compared by itself.
    """
    if connection.raw and connection.end != "closed in the handshake":
        return connection.look()
    return "closed by proxy" if connection.end == "reset by proxy" else connection.end


def split_messages(
    data: bytes, kind: Kind, methods: list[str], ended: bool
) -> tuple[list[Message], bytes]:
    """All complete messages of a stream, and the bytes left over."""
    messages: list[Message] = []
    answered = 0
    while data:
        method = methods[answered] if answered < len(methods) else "GET"
        try:
            message = parse(data, kind, method=method, ended=ended)
        except Incomplete:
            break
        messages.append(message)
        data = data[message.size :]
        if kind == "response" and (message.status >= 200 or message.status == 101):
            answered += 1
    return messages, data


def show_told(told: bytes, masks: Normaliser, seen: Observation) -> list[str]:
    """What curl printed of its responses."""
    lines = []
    while told.startswith(b"HTTP/"):
        head, _, told = told.partition(b"\r\n\r\n")
        start, *fields = split_lines(head)
        seen.statuses.append(int(start.split(" ")[1]))
        lines += [start, *masks.headers(parse_fields(fields))]
    return [*map(_cut, lines), f"  the rest: {show_bytes(told, masks)}"]


def show_http2(received: bytes, masks: Normaliser, seen: Observation) -> list[str]:
    """What each stream got, and how the connection was told to end."""
    told, lines = http2.read(received), []
    for number, stream in sorted(told.streams.items()):
        lines.append(f"  stream {number}: {stream.ended or 'open'}")
        for head in stream.heads:
            status = dict(head).get(":status", "")
            if status:
                seen.statuses.append(int(status))
            lines += [f"    {line}" for line in masks.headers(head)]
        if stream.body:
            lines.append(f"    body: {show_bytes(stream.body, masks)}")
    lines += [f"  {text}" for text in (told.goaway, told.broken) if text]
    return [_cut(line) for line in lines]


def show_client(connection: Connection, masks: Normaliser, seen: Observation) -> str:
    """One client connection: what it received and how it ended."""
    if connection.told is not None:
        told = show_told(connection.told, masks, seen)
        return "\n".join([f"=== client {connection.name}", *told])
    methods = request_methods(bytes(connection.sent))
    received = bytes(connection.received)
    messages, rest = (
        ([], received)
        if connection.raw or connection.http2
        else split_messages(received, "response", methods, connection.ended)
    )
    lines = [f"=== client connection {connection.name}"]
    if connection.tls:
        lines.append(f"  tls: {connection.tls}")
    for message in messages:
        seen.statuses.append(message.status)
        lines += show_message(message, masks)
        names = [name for name, _ in message.headers]
        seen.header_orders.setdefault(f"client {message.status}", names)
    if connection.http2:
        lines += show_http2(rest, masks, seen)
    elif rest:
        lines += show_raw(rest, masks) if connection.raw else show_rest(rest, masks)
    lines += [f"  note: {note}" for note in connection.notes]
    end = shown_end(connection)
    lines.append(f"  connection: {end}")
    seen.client_ends[connection.name] = end
    seen.client_bytes += bytes(connection.received)
    return "\n".join(lines)


def show_origin(origin: Origin, masks: Normaliser, seen: Observation) -> str:
    """Everything one origin saw, connection by connection."""
    blocks = []
    for connection in origin.connections:
        received = bytes(connection.received)
        messages, rest = (
            ([], received) if connection.raw else split_messages(received, "request", [], False)
        )
        lines = [f"=== origin {origin.name}, connection {connection.number}"]
        if connection.tls:
            lines.append(f"  tls: {connection.tls}")
        for message in messages:
            lines += show_message(message, masks)
            seen.header_orders.setdefault("origin", [name for name, _ in message.headers])
        if rest:
            lines += show_raw(rest, masks) if connection.raw else show_rest(rest, masks)
        end = shown_end(connection)
        lines.append(f"  connection: {end}")
        blocks.append("\n".join(lines))
        seen.origin_requests += len(messages) + bool(rest)
        seen.origin_bytes += bytes(connection.received)
    return "\n".join(blocks)
