"""Visits a message and everything in it, typed configurations included, from the outside in.

Each message comes once, with its path. What is done with it is the caller's matter.
"""

from collections.abc import Iterator
from typing import Any

from dragoman.config.messages import Message, Types, is_map, new, type_name
from dragoman.config.shapes import MESSAGE

ANY = "google.protobuf.Any"


class Step:
    """One message on the way.

    `set_fields`: (field descriptor, value) of what is set. `unsupported`: the caller adds names of
    fields below which nothing more is to be said; `pruned` is True for messages below such a field.
    """

    __slots__ = ("is_extension", "message", "path", "pruned", "set_fields", "unsupported")

    def __init__(self, path: str, message: Message, pruned: bool, is_extension: bool) -> None:
        self.path = path
        self.message = message
        self.pruned = pruned
        self.is_extension = is_extension
        self.set_fields: list[tuple[Any, Any]] = message.ListFields()
        self.unsupported: set[str] = set()

    @property
    def type_name(self) -> str:
        return str(self.message.DESCRIPTOR.full_name)

    def below(self, part: str) -> str:
        """The path of something in this message; of the message itself for ""."""
        if not part:
            return self.path
        return f"{self.path}.{part}" if self.path and part[:1] != "[" else self.path + part


def walk(types: Types, root: Message, path: str = "") -> Iterator[Step]:
    """Yields a Step for `root` and each message below it.

    A typed configuration whose type is unknown or whose bytes don't fit (it can only come from a
    protobuf file) is a Step with the Any itself.
    """
    waiting = [Step(path, root, False, False)]
    while waiting:
        step = waiting.pop()
        yield step
        waiting.extend(reversed(list(_below(types, step))))


def unpack(types: Types, packed: Message) -> Message | None:
    """The message inside of an Any; None if it is empty, unknown or broken."""
    descriptor = types.find(type_name(packed.type_url)) if packed.type_url else None
    if descriptor is None:
        return None
    message = new(descriptor)
    try:
        message.ParseFromString(packed.value)
    except Exception:  # DecodeError; its class depends on the build
        return None
    return message


def _below(types: Types, step: Step) -> Iterator[Step]:
    for field, value in step.set_fields:
        if field.type != MESSAGE:
            continue
        pruned = step.pruned or field.name in step.unsupported
        inner = field.message_type
        if field.is_repeated and is_map(field):
            if inner.fields_by_name["value"].type == MESSAGE:
                for key in value:
                    path = step.below(f'{field.name}["{key}"]')
                    yield from _child(types, path, value[key], pruned)
        elif field.is_repeated:
            for index, each in enumerate(value):
                yield from _child(types, step.below(f"{field.name}[{index}]"), each, pruned)
        else:
            yield from _child(types, step.below(field.name), value, pruned)


def _child(types: Types, path: str, message: Message, pruned: bool) -> Iterator[Step]:
    name = message.DESCRIPTOR.full_name
    if name == ANY:
        if message.type_url:
            yield Step(path, unpack(types, message) or message, pruned, True)
    elif not name.startswith("google.protobuf."):
        yield Step(path, message, pruned, False)
