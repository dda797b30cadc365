"""How a case file writes bytes: text blocks, exact strings, repeats and chunks.

A YAML block (after `|`) is a message as a human writes it: its head lines get CRLF, an empty line
ends the head, what follows is the body as it stands. Any other text is sent exactly as written;
write "\\r\\n" in double quotes. `{raw: ...}` is always exact. A list is joined.
Must not know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import yaml

from . import grpc


class CaseError(ValueError):
    """A case file says something that the harness does not understand."""


class Block(str):
    """Text that was written as a YAML literal block."""


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one, where it was built


class CaseLoader(_Loader):  # type: ignore[misc]  # its base is chosen at run time
    """A safe YAML loader that remembers which texts were literal blocks."""


def _string(loader: CaseLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_scalar(node)
    return Block(text) if node.style == "|" else text


CaseLoader.add_constructor("tag:yaml.org,2002:str", _string)


def to_bytes(value: Any) -> bytes:
    """The bytes a case value stands for. Raises CaseError on an unknown shape."""
    if isinstance(value, Block):
        return _block(value)
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, list):
        return b"".join(to_bytes(part) for part in value)
    if isinstance(value, Mapping):
        return _piece(value)
    raise CaseError(f"not bytes: {value!r}")


def _plain(text: str) -> bytes:
    # Characters up to U+00FF stand for that byte, so a case can write "\x80" and mean it.
    return text.encode("latin-1")


def _block(text: str) -> bytes:
    head, _, body = text.partition("\n\n")
    if body.endswith("\n"):
        body = body[:-1]
    lines = head.strip("\n").split("\n")
    return _plain("\r\n".join(lines) + "\r\n\r\n") + _plain(body)


def _piece(piece: Mapping[str, Any]) -> bytes:
    if set(piece) == {"raw"}:
        return _plain(piece["raw"])
    if set(piece) == {"chunk"}:
        inner = piece["chunk"]
        data = to_bytes({"raw": inner} if isinstance(inner, str) else inner)
        return b"%x\r\n%s\r\n" % (len(data), data)
    if set(piece) == {"hex"}:
        return bytes.fromhex(piece["hex"])
    if set(piece) == {"repeat", "times"}:
        return _plain(piece["repeat"]) * int(piece["times"])
    if set(piece) == {"proxy_v2"}:
        return _proxy_v2(**piece["proxy_v2"])
    if set(piece) == {"grpc"}:
        return grpc.frame(piece["grpc"])
    known = "raw, chunk, hex, repeat+times, proxy_v2, grpc"
    raise CaseError(f"unknown piece {dict(piece)!r}; known: {known}")


def _proxy_v2(source: str = "", to: str = "", tlvs: str = "", command: int = 1) -> bytes:
    """A PROXY header of version 2: address and port of both ends (or neither: AF_UNSPEC).

    `tlvs` in hex stand behind the addresses; command 0 is LOCAL.
    """
    body, family = b"", 0
    if source:
        ends = [end.rpartition(":") for end in (source, to)]
        addresses = [ip_address(address.strip("[]")) for address, _, _ in ends]
        family = 0x11 if addresses[0].version == 4 else 0x21
        body = b"".join(address.packed for address in addresses)
        body += b"".join(int(port).to_bytes(2, "big") for _, _, port in ends)
    body += bytes.fromhex(tlvs)
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    return signature + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body
