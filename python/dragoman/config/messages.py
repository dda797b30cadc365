"""Envoy's messages at run time: a private descriptor pool that loads only the files it needs.

The descriptor set is made by scripts/descriptors.py. All of it would cost three times the memory
and time of what an ordinary configuration uses, so a file is added with its imports when a type
in it is first asked for. Knows protobuf, not configurations.
"""

import importlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# protobuf's classes are made at run time and have no useful static types.
Message = Any
Descriptor = Any

_SET = Path(__file__).with_name("descriptors.binpb.gz")
BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"


class Types:
    """Message types by full name. One instance serves the whole process (see `types()`)."""

    def __init__(self) -> None:
        self._pool = _new_pool()
        self._files: dict[str, memoryview] = {}
        self._packages: dict[str, list[str]] = {}
        self._added: set[str] = set()
        self._parsed: dict[str, Message] = {}
        data = memoryview(zlib.decompress(_SET.read_bytes(), 31))
        for raw in _length_delimited(data):
            name = _text_fields(raw, 1)[0]
            self._files[name] = raw
            # Every package of these protos lies in the folder of its name.
            package = name.rpartition("/")[0].replace("/", ".")
            self._packages.setdefault(package, []).append(name)

    def find(self, full_name: str) -> Descriptor | None:
        """The descriptor of a message, or None if there is no such type."""
        try:
            return self._pool.FindMessageTypeByName(full_name)
        except KeyError:
            pass
        for name in self._packages.get(_package(full_name), ()):
            self._add(name)
        try:
            return self._pool.FindMessageTypeByName(full_name)
        except KeyError:
            return None

    def new(self, full_name: str) -> Message:
        """An empty message. Raises KeyError for an unknown type."""
        descriptor = self.find(full_name)
        if descriptor is None:
            raise KeyError(full_name)
        return new(descriptor)

    def extension(self, full_name: str) -> Any:
        """The descriptor of a protobuf extension, e.g. `validate.rules`."""
        return self._pool.FindExtensionByName(full_name)

    def declaration(self, descriptor: Descriptor) -> Message:
        """A message type's `DescriptorProto`, options with Envoy's extensions included.

        A descriptor's own GetOptions() answers in protobuf's global pool, which knows no extension
        of Envoy's and takes long to import.
        """
        outer = descriptor.containing_type
        if outer is not None:
            among = self.declaration(outer).nested_type
        else:
            among = self._file(descriptor.file.name).message_type
        return next(each for each in among if each.name == descriptor.name)

    def forget_declarations(self) -> None:
        """Gives back the memory that `declaration` keeps."""
        self._parsed.clear()

    def names(self) -> list[str]:
        """The full names of all messages that aren't nested; loads every file."""
        for name in list(self._files):
            self._add(name)
        return [
            message.full_name
            for name in self._files
            for message in self._pool.FindFileByName(name).message_types_by_name.values()
        ]

    def _file(self, name: str) -> Message:
        parsed = self._parsed.get(name)
        if parsed is None:
            parsed = self._parsed[name] = self.new("google.protobuf.FileDescriptorProto")
            parsed.ParseFromString(bytes(self._files[name]))
        return parsed

    def _add(self, name: str) -> None:
        if name in self._added:
            return
        self._added.add(name)
        raw = self._files[name]
        for needed in _text_fields(raw, 3):
            self._add(needed)
        self._pool.AddSerializedFile(bytes(raw))


_types: Types | None = None


def types() -> Types:
    """The process's types, loaded when first asked for."""
    global _types
    if _types is None:
        _types = Types()
    return _types


def new(descriptor: Descriptor) -> Message:
    """An empty message of the descriptor's type."""
    made = getattr(descriptor, "_concrete_class", None) or _make_class(descriptor)
    return made()


def is_map(field: Any) -> bool:
    """True for a field descriptor of a map: a list of entries of its own nested type."""
    entry = field.message_type
    if entry is None or not field.is_repeated or entry.containing_type is None:
        return False
    camel = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
    return bool(entry.name == f"{camel}Entry" and entry.has_options)


def type_name(type_url: str) -> str:
    """`a.b.C` of `type.googleapis.com/a.b.C`."""
    return type_url.rpartition("/")[2]


# The public modules pull in text_format and more: four times the import time of what is used.
# The core of the usual (upb) build is asked directly where it is there, in these two functions.
def _new_pool() -> Any:
    try:
        return importlib.import_module("google._upb._message").DescriptorPool()
    except ImportError:
        return importlib.import_module("google.protobuf.descriptor_pool").DescriptorPool()


def _make_class(descriptor: Descriptor) -> Any:
    try:
        core = importlib.import_module("google._upb._message")
        base = importlib.import_module("google.protobuf.message").Message
        namespace = {"DESCRIPTOR": descriptor, "__module__": None}
        return core.MessageMeta(descriptor.name, (base,), namespace)
    except (ImportError, AttributeError):
        factory = importlib.import_module("google.protobuf.message_factory")
        return factory.GetMessageClass(descriptor)


def _package(full_name: str) -> str:
    """The package of a possibly nested message: everything before the first capital letter."""
    parts = []
    for part in full_name.split("."):
        if part[:1].isupper():
            break
        parts.append(part)
    return ".".join(parts)


def _length_delimited(data: memoryview) -> Iterator[memoryview]:
    """The files of a FileDescriptorSet, undecoded."""
    at = 0
    while at < len(data):
        length, start = _varint(data, at + 1)
        yield data[start : start + length]
        at = start + length


def _text_fields(raw: memoryview, number: int) -> list[str]:
    """Values of a text field of a FileDescriptorProto: 1 name, 2 package, 3 imports.

    They stand before everything else, in the order of their numbers.
    """
    found = []
    at = 0
    while at < len(raw) and raw[at] in (0x0A, 0x12, 0x1A) and raw[at] >> 3 <= number:
        length, start = _varint(raw, at + 1)
        if raw[at] >> 3 == number:
            found.append(str(raw[start : start + length], "utf-8"))
        at = start + length
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
