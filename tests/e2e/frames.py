"""HTTP/2's frames as bytes (RFC 9113 section 4.1). Must not know of proxies."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = *range(5), 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
#: GET / by http at "a", from HPACK's static table
GET = b"\x82\x84\x86\x41\x01a"
#: POST / by http at "a"
POST = b"\x83\x84\x86\x41\x01a"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def frames(data: bytes) -> list[tuple[int, int, int]]:
    """(kind, flags, stream) of each frame that is there as a whole."""
    found = []
    while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3])):
        found.append((data[3], data[4], int.from_bytes(data[5:9])))
        data = data[end:]
    return found
