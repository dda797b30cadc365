"""A tree into a message, as strict as Envoy and with the place of every fault.

Reads everything it can: a fault leaves its field unset and the reading goes on. What the message
means is not known here, only protobuf's JSON form and Envoy's deviations from it (a single value
is a list of one, names of enumerations in any case, objects for durations).
"""

from collections.abc import Callable
from typing import Any

from dragoman.config.by_name import complete
from dragoman.config.diagnostics import WARNING, Diagnostic, did_you_mean, is_secret
from dragoman.config.messages import Message, Types, new, type_name
from dragoman.config.nodes import Fields, Items, Node, Scalar
from dragoman.config.scalars import BadValue, kind_of, read_duration, read_scalar
from dragoman.config.shapes import MESSAGE, WRAPPERS, Field, Shape, shape_of
from dragoman.config.source import Source

#: A path is a chain (parent, step); a step is ".name", "[3]" or '["key"]'.
Path = tuple[Any, str] | None

ANY = "google.protobuf.Any"
_PREFIX = "type.googleapis.com/"
_TYPED_STRUCTS = ("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct")
# Well-known types with a JSON form of their own: inside an Any they stand under "value".
_UNDER_VALUE = WRAPPERS | {
    f"google.protobuf.{kind}"
    for kind in ("Any", "Duration", "Timestamp", "Struct", "Value", "ListValue")
}


def path_text(path: Path) -> str:
    """`a.b[0].c` of a chain."""
    steps = []
    while path is not None:
        path, step = path
        steps.append(step)
    return "".join(reversed(steps)).removeprefix(".")


class Reader:
    """Reads one source. Diagnostics gather in `found`."""

    def __init__(self, types: Types, source: Source, *, allow_unknown: bool = False) -> None:
        self.found: list[Diagnostic] = []
        self._types = types
        self._source = source
        self._allow_unknown = allow_unknown
        self._special: dict[str, Callable[[Node, Message, Path], None]] = {
            ANY: self._any,
            "google.protobuf.Duration": self._duration,
            "google.protobuf.Timestamp": self._timestamp,
            "google.protobuf.Struct": self._struct,
            "google.protobuf.Value": self._value,
            "google.protobuf.ListValue": self._list_value,
            **dict.fromkeys(WRAPPERS, self._wrapper),
        }

    def read(self, node: Node, message: Message, path: Path = None) -> None:
        """Fills `message` from `node`."""
        special = self._special.get(message.DESCRIPTOR.full_name)
        if special is not None:
            special(node, message, path)
        else:
            self._fields(node, message, path)

    # -- ordinary messages

    def _fields(self, node: Node, message: Message, path: Path, skip: str = "") -> None:
        shape = shape_of(message.DESCRIPTOR)
        if not isinstance(node, Fields):
            return self._not(node, path, f"a mapping of {_short(shape.full_name)}'s fields")
        seen: dict[str, str] = {}
        for key, (place, value) in node.fields.items():
            if key == skip:
                continue
            field = shape.fields.get(key)
            if field is None:
                self._unknown(place, key, shape, path)
                continue
            if self._conflicts(field, key, place, value, seen, path):
                continue
            step = (path, f".{field.name}")
            if isinstance(value, Scalar) and value.value is None and not _takes_null(field):
                continue
            self._field(field, value, message, step)
        added = complete(message)
        if added:
            text = f"found by its name alone; Envoy 1.40 wants typed_config with {added}"
            self._fault("DG0502", text, node, path, f'"@type": {_PREFIX}{added}', WARNING)

    def _conflicts(
        self, field: Field, key: str, place: Node, value: Node, seen: dict[str, str], path: Path
    ) -> bool:
        """True (and a fault) for a field given under both names, or a second one of a oneof."""
        if isinstance(value, Scalar) and value.value is None:
            return False
        first = seen.setdefault(f".{field.name}", key)
        if first != key:
            self._fault("DG0101", f"'{key}' is '{first}' by another name", place, path)
            return True
        if not field.oneof:
            return False
        first = seen.setdefault(field.oneof, key)
        if first != key:
            self._fault("DG0106", f"only one of '{first}' and '{key}' may be set", place, path)
        return first != key

    def _field(self, field: Field, node: Node, message: Message, path: Path) -> None:
        if field.key is not None and field.value is not None:
            self._map(field.key, field.value, node, getattr(message, field.name), path)
        elif field.repeated:
            self._repeated(field, node, getattr(message, field.name), path)
        elif field.kind == MESSAGE:
            part = getattr(message, field.name)
            part.SetInParent()
            self.read(node, part, path)
        else:
            value = self._scalar(field, node, path)
            if value is not None:
                setattr(message, field.name, value)

    def _repeated(self, field: Field, node: Node, items: Any, path: Path) -> None:
        # protobuf takes a single value for a list of one
        nodes = node.items if isinstance(node, Items) else [node]
        for index, each in enumerate(nodes):
            step = (path, f"[{index}]")
            if field.kind == MESSAGE:
                part = items.add()
                if not isinstance(each, Scalar) or each.value is not None or _takes_null(field):
                    self.read(each, part, step)
                continue
            empty = isinstance(each, Scalar) and each.value is None
            value = field.default if empty else self._scalar(field, each, step)
            if value is not None:
                items.append(value)

    def _map(self, key: Field, field: Field, node: Node, entries: Any, path: Path) -> None:
        if not isinstance(node, Fields):
            return self._not(node, path, "a mapping")
        for text, (place, each) in node.fields.items():
            step = (path, f'["{text}"]')
            name = self._scalar(key, place, step)
            if name is None:
                continue
            if field.kind == MESSAGE:
                part = entries[name]
                if not isinstance(each, Scalar) or each.value is not None or _takes_null(field):
                    self.read(each, part, step)
                continue
            value = self._scalar(field, each, step)
            if value is not None:
                entries[name] = value

    def _scalar(self, field: Field, node: Node, path: Path) -> Any:
        """The field's value; None after a fault."""
        if not isinstance(node, Scalar):
            self._not(node, path, "a single value")
            return None
        if node.value is None:
            self._not(node, path, "a value")
            return None
        try:
            return read_scalar(field, node.value)
        except BadValue as bad:
            if bad.code == "DG0105" and self._allow_unknown:
                self._fault("DG0503", bad.message, node, path, bad.help, WARNING)
            else:
                self._bad(bad, node, path)
            return None

    # -- well-known types

    def _wrapper(self, node: Node, message: Message, path: Path) -> None:
        if isinstance(node, Fields):
            return self._fields(node, message, path)
        value = self._scalar(shape_of(message.DESCRIPTOR).fields["value"], node, path)
        if value is not None:
            message.value = value

    def _duration(self, node: Node, message: Message, path: Path) -> None:
        if isinstance(node, Fields):
            return self._fields(node, message, path)
        if not isinstance(node, Scalar):
            return self._not(node, path, "a duration")
        try:
            message.seconds, message.nanos = read_duration(node.value)
        except BadValue as bad:
            self._bad(bad, node, path)

    def _timestamp(self, node: Node, message: Message, path: Path) -> None:
        if isinstance(node, Fields):
            return self._fields(node, message, path)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return self._not(node, path, "a time such as 2026-01-31T12:00:00Z")
        try:
            message.FromJsonString(node.value)
        except (ValueError, OverflowError):
            self._fault("DG0104", "not a time such as 2026-01-31T12:00:00Z", node, path)

    def _struct(self, node: Node, message: Message, path: Path) -> None:
        if not isinstance(node, Fields):
            return self._not(node, path, "a mapping")
        for key, (_, value) in node.fields.items():
            self._value(value, message.fields[key], (path, f".{key}"))

    def _list_value(self, node: Node, message: Message, path: Path) -> None:
        if not isinstance(node, Items):
            return self._not(node, path, "a list")
        for index, each in enumerate(node.items):
            self._value(each, message.values.add(), (path, f"[{index}]"))

    def _value(self, node: Node, message: Message, path: Path) -> None:
        if isinstance(node, Fields):
            message.struct_value.SetInParent()
            return self._struct(node, message.struct_value, path)
        if isinstance(node, Items):
            message.list_value.SetInParent()
            return self._list_value(node, message.list_value, path)
        assert isinstance(node, Scalar)
        value = node.value
        if value is None:
            message.null_value = 0
        elif isinstance(value, bool):
            message.bool_value = value
        elif isinstance(value, str):
            message.string_value = value
        else:
            message.number_value = value
        return None

    # -- typed configuration

    def _any(self, node: Node, message: Message, path: Path) -> None:
        if not isinstance(node, Fields):
            return self._not(node, path, 'a mapping with an "@type"')
        if not node.fields:
            return None
        place, url_node = node.fields.get("@type", (node, node))
        if not isinstance(url_node, Scalar) or not isinstance(url_node.value, str):
            text = 'a typed configuration needs an "@type"'
            return self._fault("DG0107", text, place, path, f'"@type": {_PREFIX}<message>')
        url = url_node.value
        if "/" not in url[1:]:
            text = f"'{url}' has no host before the type's name"
            return self._fault("DG0104", text, url_node, path, f"{_PREFIX}{url.lstrip('/')}")
        body: Node = node
        if type_name(url) in _TYPED_STRUCTS:
            url_node, url, body = self._typed_struct(node, url_node, url, path)
        inner = self._new(url, url_node, path)
        if inner is None:
            return None
        if body is not node:
            self.read(body, inner, path)
        elif inner.DESCRIPTOR.full_name in _UNDER_VALUE:
            if "value" in node.fields:
                self.read(node.fields["value"][1], inner, (path, ".value"))
        else:
            self._fields(node, inner, path, "@type")
        return self._pack(message, url, inner, node, path)

    def _typed_struct(
        self, node: Fields, url_node: Scalar, url: str, path: Path
    ) -> tuple[Scalar, str, Node]:
        """What a TypedStruct stands for: Envoy reads its value as a message of the named type."""
        for name in ("type_url", "typeUrl"):
            inner = node.fields.get(name, (None, None))[1]
            if isinstance(inner, Scalar) and isinstance(inner.value, str) and inner.value:
                value = node.fields.get("value", (node, Fields(node.line, node.column)))[1]
                return inner, _PREFIX + type_name(inner.value), value
        self._fault("DG0107", "a TypedStruct needs a type_url", url_node, path)
        return url_node, url, node

    def _new(self, url: str, node: Scalar, path: Path) -> Message | None:
        """An empty message of the type, or a fault."""
        name = type_name(url)
        descriptor = self._types.find(name)
        if descriptor is not None:
            return new(descriptor)
        help = did_you_mean(name, self._types.names())
        if ".v2." in name or ".v2alpha" in name:
            help = "this is Envoy's v2 API, which ended; use the type's v3 successor"
        self._fault("DG0108", f"unknown type {name}", node, path, help)
        return None

    def _pack(self, message: Message, url: str, inner: Message, node: Node, path: Path) -> None:
        message.type_url = url
        try:
            message.value = inner.SerializeToString(deterministic=True)
            inner.ParseFromString(message.value)
        except Exception:  # protobuf's depth limit; its error class depends on the build
            self._fault("DG0005", "nested deeper than protobuf allows", node, path)

    # -- faults

    def _unknown(self, place: Scalar, key: str, shape: Shape, path: Path) -> None:
        shown = key if len(key) <= 60 else key[:57] + "..."
        text = f"{_short(shape.full_name)} has no field '{shown}'"
        if key == "<<":
            help = "Envoy doesn't know YAML merge keys; write the fields out"
        elif key.endswith("@type"):
            help = "this message is known by its place; it takes no type"
        else:
            help = did_you_mean(key, shape.names)
        if self._allow_unknown:
            self._fault("DG0503", text, place, path, help, WARNING)
        else:
            self._fault("DG0102", text, place, path, help)

    def _bad(self, bad: BadValue, node: Node, path: Path) -> None:
        message = bad.message
        if is_secret(path_text(path)):
            message = "the value doesn't fit its field (not shown: it may be secret)"
        self._fault(bad.code, message, node, path, bad.help)

    def _not(self, node: Node, path: Path, expected: str) -> None:
        if isinstance(node, Scalar):
            found = kind_of(node.value)
        else:
            found = "a list" if isinstance(node, Items) else "a mapping"
        self._fault("DG0103", f"expected {expected}, found {found}", node, path)

    def _fault(
        self,
        code: str,
        message: str,
        node: Node,
        path: Path,
        help: str = "",
        severity: str = "error",
    ) -> None:
        where = path_text(path)
        self.found.append(self._source.diagnostic(code, message, node, where, help, severity))


def _takes_null(field: Field) -> bool:
    return field.type_name == "google.protobuf.Value" and not field.repeated


def _short(full_name: str) -> str:
    return full_name.rpartition(".")[2]
