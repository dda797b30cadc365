"""Binary (.pb) and text (.pb_text) protobuf files into a message. Positions are coarse here."""

import re
from typing import Any

from dragoman.config.diagnostics import Diagnostic
from dragoman.config.messages import Message, Types
from dragoman.config.nodes import Node
from dragoman.config.source import BINARY, Source

_PLACE = re.compile(r"^(\d+):(\d+) ?: ?(.*)", re.DOTALL)


def read_binary(source: Source, message: Message) -> list[Diagnostic]:
    """Decodes the source's bytes. Unknown fields are faults, as in Envoy."""
    try:
        message.ParseFromString(source.data)
    except Exception as error:  # DecodeError; its class depends on the build
        text = f"not a {message.DESCRIPTOR.name} in protobuf's binary form: {error}"
        return [source.diagnostic("DG0011", text)]
    if _has_unknown(message):
        return [source.diagnostic("DG0102", "the file holds fields that the API doesn't have")]
    return []


def read_text(source: Source, message: Message, types: Types) -> list[Diagnostic]:
    """Parses the source's text."""
    from google.protobuf import text_format  # type: ignore[import-untyped,unused-ignore]

    # Types inside of Any are looked up in the message's pool, which loads files when asked.
    for name in set(re.findall(r"\[[\w.]+/([\w.]+)\]", source.text)):
        types.find(name)
    pool: Any = message.DESCRIPTOR.file.pool
    try:
        text_format.Parse(source.text, message, descriptor_pool=pool)
    except (text_format.ParseError, RecursionError) as error:
        return [_fault(source, str(error) or "nested too deep")]
    return []


def is_binary(source: Source) -> bool:
    return source.format == BINARY


def _has_unknown(message: Message) -> bool:
    before = message.ByteSize()
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return bool(copy.ByteSize() != before)


def _fault(source: Source, text: str) -> Diagnostic:
    match = _PLACE.match(text)
    if match is None:
        return source.diagnostic("DG0002", f"not valid protobuf text: {text}")
    node = Node(int(match[1]), int(match[2]))
    return source.diagnostic("DG0002", f"not valid protobuf text: {match[3]}", node)
