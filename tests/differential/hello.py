"""What TLS says in the clear, as far as cases compare it: a ClientHello, an alert.

Of a hello only what means something to a configuration: the name asked for, the protocols, the
newest version. Everything else (random bytes, key shares, the order of ciphers, the version that
stands on a record) is an implementation's own. What is cut short is neither.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

ALERT, HANDSHAKE, CLIENT_HELLO = 21, 22, 1
SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43
VERSIONS = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate",
    44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 86: "inappropriate_fallback", 109: "missing_extension",
    110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required",
    120: "no_application_protocol",
}  # fmt: skip


@dataclass
class Hello:
    """`newest` is the newest version offered."""

    sni: str
    alpn: list[str]
    newest: str

    def __str__(self) -> str:
        return (
            f"sni {self.sni or 'none'}, alpn [{', '.join(self.alpn)}], offers up to {self.newest}"
        )


class Reader:
    """Takes fields off the front of bytes. Raises IndexError when there are too few."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def __bool__(self) -> bool:
        return bool(self._rest)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if len(self._rest) < size:
            raise IndexError(size)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def number(self, size: int) -> int:
        """A big-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def field(self, size: int) -> bytes:
        """A vector whose length stands before it in `size` bytes."""
        return self.take(self.number(size))


def shown_in_clear(data: bytes) -> str:
    """A hello or an alert at the front of a connection's bytes as text; "" for anything else."""
    if len(data) == 7 and data[0] == ALERT and data[3:5] == b"\0\x02":
        return f"alert {ALERTS.get(data[6], data[6])}"
    return str(parse_hello(data) or "")


def parse_hello(data: bytes) -> Hello | None:
    """The ClientHello at the front of a connection's bytes, or None."""
    try:
        return _hello(_handshake(data))
    except (IndexError, struct.error):
        return None


def _handshake(data: bytes) -> bytes:
    """The first handshake message, put together from its records."""
    records, message = Reader(data), b""
    while records and records.number(1) == HANDSHAKE:
        records.take(2)
        message += records.field(2)
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return message
    raise IndexError("no whole message")


def _hello(message: bytes) -> Hello:
    reader = Reader(message)
    if reader.number(1) != CLIENT_HELLO:
        raise IndexError("no ClientHello")
    body = Reader(reader.field(3))
    newest = body.number(2)
    body.take(32)
    for size in (1, 2, 1):  # session id, ciphers, compressions
        body.field(size)
    sni, alpn = "", []
    extensions = Reader(body.field(2)) if body else Reader(b"")
    while extensions:
        kind, value = extensions.number(2), Reader(extensions.field(2))
        if kind == SERVER_NAME and value:
            value.take(3)  # the list's length, and the only type there is
            sni = value.field(2).decode("latin-1")
        elif kind == ALPN:
            names = Reader(value.field(2))
            while names:
                alpn.append(names.field(1).decode("latin-1"))
        elif kind == SUPPORTED_VERSIONS:
            listed = value.field(1)
            offered = {v for v in struct.unpack(f">{len(listed) // 2}H", listed) if v in VERSIONS}
            newest = max(offered, default=newest)
    return Hello(sni, alpn, VERSIONS.get(newest, hex(newest)))
