"""Messages as Envoy's admin page shows them: JSON with snake_case names and "@type" in the open."""

from typing import Any

from dragoman.config.messages import Message, is_map, types
from dragoman.config.shapes import ENUM, MESSAGE
from dragoman.config.walk import ANY, unpack


def from_bytes(type_url: str, payload: bytes) -> Message:
    """The message in `payload`. `type_url` may be a bare type name.

    Raises KeyError for an unknown type, ValueError for bytes that don't fit.
    """
    message = types().new(type_url.rpartition("/")[2])
    try:
        message.ParseFromString(payload)
    except Exception as error:  # DecodeError; its class depends on the build
        raise ValueError(f"not a {type_url}: {error}") from None
    return message


def message_to_dict(message: Message) -> dict[str, Any]:
    """The message's JSON form with field names as in the `.proto` files; unset fields left out."""
    shown = _message(message)
    if not isinstance(shown, dict):
        raise ValueError(f"{message.DESCRIPTOR.full_name} has no object form")
    return shown


def _message(message: Message) -> Any:
    name = message.DESCRIPTOR.full_name
    if name == ANY:
        return _any(message)
    if name.startswith("google.protobuf."):
        return _well_known(name.removeprefix("google.protobuf."), message)
    return {field.name: _field(field, value) for field, value in message.ListFields()}


def _field(field: Any, value: Any) -> Any:
    if is_map(field):
        inner = field.message_type.fields_by_name["value"]
        return {_key(key): _value(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_value(field, each) for each in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.type == MESSAGE:
        return _message(value)
    if field.type == ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    if isinstance(value, bytes):
        from base64 import b64encode

        return b64encode(value).decode()
    if isinstance(value, float):
        return _number(value)
    # 64-bit integers are texts in protobuf's JSON form
    wide = field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
    return str(value) if wide else value


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _number(value: float) -> Any:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _any(message: Message) -> dict[str, Any]:
    if not message.type_url:
        return {}
    inner = unpack(types(), message)
    if inner is None:
        from base64 import b64encode

        return {"@type": message.type_url, "value": b64encode(message.value).decode()}
    shown = _message(inner)
    if (
        inner.DESCRIPTOR.full_name.startswith("google.protobuf.")
        and inner.DESCRIPTOR.name != "Empty"
    ):
        return {"@type": message.type_url, "value": shown}
    return {"@type": message.type_url, **shown}


def _well_known(kind: str, message: Message) -> Any:
    if kind == "Struct":
        return {key: _message(message.fields[key]) for key in sorted(message.fields)}
    if kind == "ListValue":
        return [_message(each) for each in message.values]
    if kind == "Value":
        which = message.WhichOneof("kind")
        if which is None or which == "null_value":
            return None
        value = getattr(message, which)
        if which == "number_value":
            return _number(value)
        return _message(value) if which in ("struct_value", "list_value") else value
    if kind in ("Duration", "Timestamp"):
        return message.ToJsonString()
    if kind.endswith("Value"):
        return _value(message.DESCRIPTOR.fields_by_name["value"], message.value)
    return {field.name: _field(field, value) for field, value in message.ListFields()}
