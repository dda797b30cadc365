"""HTTP/2 frame by frame: what a case writes as bytes, and what comes back as text.

Only what means something is shown: what each stream got and how it ended, the connection's GOAWAY;
not windows, SETTINGS, or in which pieces a body came. Must not know of sockets or proxies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder, HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
KINDS = {
    "DATA": 0, "HEADERS": 1, "PRIORITY": 2, "RST_STREAM": 3, "SETTINGS": 4, "PUSH_PROMISE": 5,
    "PING": 6, "GOAWAY": 7, "WINDOW_UPDATE": 8, "CONTINUATION": 9,
}  # fmt: skip
ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
#: Of the keys of a frame as a case writes it, those that don't say what it is.
DETAILS = {"stream", "end", "flags", "fields", "method", "scheme", "authority"}


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113 section 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def literal(fields: list[list[str]]) -> bytes:
    """Fields as HPACK literals that nothing is indexed of (RFC 7541 section 6.2.2)."""
    out = b""
    for pair in fields:
        out += b"\0"
        for text in pair:
            data = str(text).encode("latin-1")
            out += _integer(len(data)) + data
    return out


def _integer(value: int) -> bytes:
    if value < 127:
        return bytes([value])
    out, value = bytearray([127]), value - 127
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def write(step: Mapping[str, Any], to_bytes: Callable[[Any], bytes]) -> bytes:
    """A frame of a case. Raises ValueError when it is not one.

    `{get: /path}` is a request, with `method`, `scheme`, `authority` and `fields` (name and value
    each); `{fields: [...]}` are fields alone, `{data: ...}` a body; both with `stream` (1) and
    `end`. `{KIND: payload}` is any other frame, with `flags` and `stream`; `{bytes: ...}` anything.
    """
    keys = [key for key in step if key not in DETAILS]
    stream, end = int(step.get("stream", 1)), bool(step.get("end", True))
    fields = [[str(name), value] for name, value in step.get("fields", [])]
    if keys == ["get"]:
        head = [[":method", step.get("method", "GET")], [":scheme", step.get("scheme", "http")]]
        head += [[":authority", step.get("authority", "a.example")], [":path", step["get"]]]
        head = [pair for pair in head if pair[1] is not None]
        return frame(1, END_HEADERS | end, stream, literal(head + fields))
    if not keys and "fields" in step:
        return frame(1, END_HEADERS | end, stream, literal(fields))
    if keys == ["data"]:
        return frame(0, int(end), stream, to_bytes(step["data"]))
    if keys == ["bytes"]:
        return to_bytes(step["bytes"])
    if len(keys) == 1 and keys[0] in KINDS:
        flags, stream = int(step.get("flags", 0)), int(step.get("stream", 0))
        return frame(KINDS[keys[0]], flags, stream, to_bytes(step[keys[0]]))
    raise ValueError(f"no frame: {dict(step)!r}")


def named(data: bytes) -> set[int]:
    """The streams of the requests in bytes that were sent."""
    rest = data.removeprefix(PREFACE)
    streams = set()
    while len(rest) >= 9:
        if rest[3] == KINDS["HEADERS"]:
            streams.add(int.from_bytes(rest[5:9], "big"))
        rest = rest[9 + int.from_bytes(rest[:3], "big") :]
    return streams


@dataclass
class Stream:
    """What came on a stream."""

    heads: list[list[tuple[str, str]]] = field(default_factory=list)
    body: bytes = b""
    ended: str = ""


@dataclass
class Seen:
    """What a connection said, so far."""

    streams: dict[int, Stream] = field(default_factory=dict)
    goaway: str = ""
    broken: str = ""


def read(received: bytes) -> Seen:
    """The frames that are there as a whole."""
    seen, decoder = Seen(), Decoder()
    while len(received) >= 9 and len(received) >= (size := 9 + int.from_bytes(received[:3], "big")):
        kind, flags = received[3], received[4]
        number = int.from_bytes(received[5:9], "big") & 0x7FFFFFFF
        try:
            _note(seen, decoder, kind, flags, number, received[9:size])
        except HPACKError as error:
            seen.broken = f"fields that can't be read: {error}"
            break
        received = received[size:]
    return seen


def ended(received: bytes) -> set[int]:
    """The streams that have ended."""
    return {number for number, stream in read(received).streams.items() if stream.ended}


def _note(seen: Seen, decoder: Decoder, kind: int, flags: int, number: int, payload: bytes) -> None:
    if kind == KINDS["GOAWAY"]:
        code = int.from_bytes(payload[4:8], "big")
        seen.goaway = f"GOAWAY {_error(code)}, last stream {int.from_bytes(payload[:4], 'big')}"
    if number == 0 or kind not in (0, 1, 3):
        return
    stream = seen.streams.setdefault(number, Stream())
    if kind == KINDS["RST_STREAM"]:
        stream.ended = _error(int.from_bytes(payload, "big"))
        return
    if kind == KINDS["HEADERS"]:
        pairs = decoder.decode(payload, raw=True)
        stream.heads.append([(bytes(n).decode(), bytes(v).decode("latin-1")) for n, v in pairs])
    else:
        stream.body += payload
    if flags & END_STREAM:
        stream.ended = "end"


def _error(code: int) -> str:
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"
