"""What the reader has to know of each message type, taken from its descriptor once."""

from typing import Any

from dragoman.config.messages import Descriptor, is_map

(DOUBLE, FLOAT, INT64, UINT64, INT32, FIXED64, FIXED32, BOOL, STRING, GROUP, MESSAGE, BYTES, UINT32,
 ENUM, SFIXED32, SFIXED64, SINT32, SINT64) = range(1, 19)  # fmt: skip

#: numeric kinds -> (lowest, highest)
INTEGER_RANGES = {
    INT64: (-(2**63), 2**63 - 1), SFIXED64: (-(2**63), 2**63 - 1), SINT64: (-(2**63), 2**63 - 1),
    UINT64: (0, 2**64 - 1), FIXED64: (0, 2**64 - 1),
    INT32: (-(2**31), 2**31 - 1), SFIXED32: (-(2**31), 2**31 - 1), SINT32: (-(2**31), 2**31 - 1),
    UINT32: (0, 2**32 - 1), FIXED32: (0, 2**32 - 1),
}  # fmt: skip

WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class Field:
    """One field as the reader sees it."""

    __slots__ = (
        "default", "enum", "key", "kind", "message", "name", "oneof", "repeated", "type_name",
        "value",
    )  # fmt: skip

    def __init__(self, descriptor: Any) -> None:
        self.name: str = descriptor.name
        self.kind: int = descriptor.type
        self.repeated: bool = descriptor.is_repeated
        self.message: Descriptor | None = descriptor.message_type
        self.type_name: str = self.message.full_name if self.message is not None else ""
        self.enum: Any = descriptor.enum_type
        #: what null stands for in a list
        self.default: Any = _default(descriptor)
        oneof = descriptor.containing_oneof
        self.oneof: str = oneof.name if oneof is not None else ""
        self.key: Field | None = None
        self.value: Field | None = None
        if self.message is not None and is_map(descriptor):
            self.key = Field(self.message.fields_by_name["key"])
            self.value = Field(self.message.fields_by_name["value"])

    @property
    def is_map(self) -> bool:
        return self.key is not None


class Shape:
    """A message type's fields under both of their names (snake_case and lowerCamelCase)."""

    __slots__ = ("fields", "full_name", "names")

    def __init__(self, descriptor: Descriptor) -> None:
        self.full_name: str = descriptor.full_name
        self.fields: dict[str, Field] = {}
        self.names: list[str] = []
        for each in descriptor.fields:
            field = Field(each)
            self.fields[each.json_name] = field
            self.fields[each.name] = field
            self.names.append(each.name)


_shapes: dict[str, Shape] = {}
_enums: dict[str, dict[str, int]] = {}


def shape_of(descriptor: Descriptor) -> Shape:
    """The (cached) shape of a message type."""
    name = descriptor.full_name
    shape = _shapes.get(name)
    if shape is None:
        shape = _shapes[name] = Shape(descriptor)
    return shape


def enum_numbers(descriptor: Any) -> dict[str, int]:
    """An enumeration's numbers by upper-case name: Envoy reads names in any case."""
    numbers = _enums.get(descriptor.full_name)
    if numbers is None:
        numbers = {value.name.upper(): value.number for value in descriptor.values}
        _enums[descriptor.full_name] = numbers
    return numbers


def camel_case(name: str) -> str:
    """protobuf's JSON name of a field: `stat_prefix` -> `statPrefix`."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _default(descriptor: Any) -> Any:
    if descriptor.type == STRING:
        return ""
    if descriptor.type == BYTES:
        return b""
    return False if descriptor.type == BOOL else 0
