"""Messages of `files/grpc/library.proto` as gRPC frames, and the filter that transcodes them.

Must not know of processes or sockets.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

SET = Path(__file__).resolve().parent / "files/grpc/library.binpb"
TYPE = (
    "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
)


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(SET.read_bytes()).file:
        pool.Add(file)
    return pool


def message(named: dict[str, Any]) -> bytes:
    """`{Shelf: {id: 1}}` as bytes; a name without a dot is one of the library's."""
    ((name, fields),) = named.items()
    full = name if "." in name else f"library.{name}"
    made = message_factory.GetMessageClass(_pool().FindMessageTypeByName(full))()
    json_format.ParseDict(fields, made, descriptor_pool=_pool())
    return made.SerializeToString(deterministic=True)


def read(name: str, data: bytes) -> dict[str, Any]:
    """The fields of a message of the library."""
    kind = message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"library.{name}"))
    found: dict[str, Any] = json_format.MessageToDict(kind.FromString(data))
    return found


def frame(named: dict[str, Any]) -> bytes:
    """The message behind its frame's head: not compressed, and its length."""
    data = message(named)
    return b"\0" + len(data).to_bytes(4, "big") + data


def told(start_line: str, body: bytes) -> str:
    """The messages of a call of the library, as text; empty where it is none.

    Who encodes a message is free in the order of its fields.
    """
    service, _, method = start_line.removeprefix("POST /").split(" ")[0].rpartition("/")
    try:
        kind = _pool().FindServiceByName(service).FindMethodByName(method).input_type
    except KeyError:
        return ""
    texts = []
    while len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big"):
        end = 5 + int.from_bytes(body[1:5], "big")
        made = message_factory.GetMessageClass(kind)()
        try:
            made.ParseFromString(body[5:end])
        except DecodeError:
            return ""
        shown = json_format.MessageToDict(made, descriptor_pool=_pool())
        texts.append(f"{body[0]} {json.dumps(shown, sort_keys=True)}")
        body = body[end:]
    return "gRPC " + ", ".join(texts) + (f" and {body!r}" if body else "")


def transcoder(fields: dict[str, Any]) -> dict[str, Any]:
    """The filter that a case's `transcoder:` stands for."""
    known: dict[str, Any] = {"services": ["library.Library"]}
    if "proto_descriptor_bin" not in fields:
        known["proto_descriptor"] = "{{files}}/grpc/library.binpb"
    typed = {"@type": TYPE, **known, **fields}
    return {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": typed}
