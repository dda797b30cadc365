"""Envoy's validation rules (`validate.rules` in the descriptors): every fault of one message.

The rules of a message type are compiled when one is first met. Knows no message by name.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from dragoman.config import rule_checks
from dragoman.config.messages import Descriptor, Message, Types
from dragoman.config.rule_checks import Check
from dragoman.config.shapes import MESSAGE, WRAPPERS


class Fault(NamedTuple):
    """What is wrong inside of a message: the field's path from it, code, message, help."""

    part: str
    code: str
    message: str
    help: str = ""


_FieldCheck = Callable[[Message], Iterable[Fault]]
_DURATION = "google.protobuf.Duration"
_NUMBERS = frozenset(
    ("float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64",
     "fixed32", "fixed64", "sfixed32", "sfixed64")
)  # fmt: skip


class Rules:
    """The compiled rules of every message type met so far."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._compiled: dict[str, list[_FieldCheck]] = {}
        self._rules: Any = None

    def faults(self, message: Message) -> Iterator[Fault]:
        """Faults of `message` itself, not of the messages in it."""
        name = message.DESCRIPTOR.full_name
        checks = self._compiled.get(name)
        if checks is None:
            checks = self._compiled[name] = self._compile(message.DESCRIPTOR)
        for check in checks:
            yield from check(message)

    def _compile(self, descriptor: Descriptor) -> list[_FieldCheck]:
        if self._rules is None:
            self._types.find("validate.FieldRules")
            self._rules = self._types.extension("validate.rules")
            self._required = self._types.extension("validate.required")
            self._disabled = self._types.extension("validate.disabled")
        declared = self._types.declaration(descriptor)
        if declared.options.Extensions[self._disabled]:
            return []
        checks: list[_FieldCheck] = []
        for oneof, each in zip(descriptor.oneofs, declared.oneof_decl, strict=True):
            if each.options.Extensions[self._required]:
                checks.append(_one_of(oneof))
        for field, each in zip(descriptor.fields, declared.field, strict=True):
            checks.extend(self._field(field, each.options))
        return checks

    def _field(self, field: Any, options: Message) -> Iterator[_FieldCheck]:
        rules = options.Extensions[self._rules] if options.HasExtension(self._rules) else None
        if rules is not None:
            # in a oneof only the member that is set is looked at, and that one is there
            alone = field.containing_oneof is None
            if rules.HasField("message") and rules.message.required and alone:
                yield _required(field.name)
            kind = rules.WhichOneof("type")
            if kind == "repeated":
                yield _repeated(field, rules.repeated)
            elif kind == "map":
                yield _map(field, rules.map)
            elif kind is not None:
                yield _single(field, rules, kind)
        if field.message_type is not None and field.message_type.full_name == _DURATION:
            yield _not_negative(field)


def _value_checks(rules: Any, enum: Any = None) -> tuple[list[Check], bool]:
    """The checks of a FieldRules for one value, and whether an empty value is let through."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return [], False
    part = getattr(rules, kind)
    ignore_empty = "ignore_empty" in part.DESCRIPTOR.fields_by_name and part.ignore_empty
    if kind in _NUMBERS:
        return rule_checks.bounds(part), ignore_empty
    if kind == "string":
        return rule_checks.text(part), ignore_empty
    if kind == "bytes":
        return rule_checks.data(part), ignore_empty
    if kind == "enum":
        return _enum(part, enum), False
    if kind == "bool" and part.HasField("const"):
        const = part.const
        return [lambda value: None if value == const else f"must be {str(const).lower()}"], False
    if kind == "duration":
        return rule_checks.bounds(part, "s", _seconds), False
    if kind == "any":
        allowed = list(getattr(part, "in"))
        words = f"must hold one of {', '.join(allowed)}"
        return [lambda value: words if allowed and value.type_url not in allowed else None], False
    return [], False


def _enum(rules: Any, descriptor: Any) -> list[Check]:
    checks: list[Check] = []
    if rules.defined_only and descriptor is not None:
        known = frozenset(value.number for value in descriptor.values)
        words = f"{descriptor.name} has no such value"
        checks.append(lambda value: None if value in known else words)
    if rules.HasField("const"):
        const = rules.const
        checks.append(lambda value: None if value == const else f"must be {const}")
    allowed, denied = list(getattr(rules, "in")), list(rules.not_in)
    if allowed:
        checks.append(lambda value: None if value in allowed else f"must be one of {allowed}")
    if denied:
        checks.append(lambda value: "this value is not allowed here" if value in denied else None)
    return checks


def _single(field: Any, rules: Any, kind: str) -> _FieldCheck:
    name = field.name
    checks, ignore_empty = _value_checks(rules, field.enum_type)
    part = getattr(rules, kind)
    needed = kind in ("duration", "timestamp", "any") and part.required
    wrapped = field.message_type is not None and field.message_type.full_name in WRAPPERS
    convert = _seconds if kind == "duration" else None
    has_presence = field.has_presence

    def check(message: Message) -> Iterator[Fault]:
        if has_presence and not message.HasField(name):
            if needed:
                yield Fault(name, "DG0201", f"'{name}' is required")
            return
        value = getattr(message, name)
        if wrapped:
            value = value.value
        elif convert is not None:
            value = convert(value)
        if ignore_empty and not value:
            return
        for each in checks:
            words = each(value)
            if words is not None:
                if not has_presence and value in ("", b""):
                    yield Fault(name, "DG0201", f"'{name}' is required, and {words}")
                else:
                    yield Fault(name, "DG0202", f"'{name}' {words}")

    return check


def _repeated(field: Any, rules: Any) -> _FieldCheck:
    name = field.name
    low = rules.min_items if rules.HasField("min_items") else 0
    high = rules.max_items if rules.HasField("max_items") else None
    items, _ = _value_checks(rules.items, field.enum_type)

    def check(message: Message) -> Iterator[Fault]:
        values = getattr(message, name)
        if len(values) < low:
            if low == 1:
                yield Fault(name, "DG0201", f"'{name}' needs at least one entry")
            else:
                yield Fault(name, "DG0202", f"'{name}' needs at least {low} entries")
        if high is not None and len(values) > high:
            yield Fault(name, "DG0202", f"'{name}' takes at most {high} entries")
        if rules.unique and field.type != MESSAGE and len(set(values)) < len(values):
            yield Fault(name, "DG0202", f"the entries of '{name}' must differ")
        for index, value in enumerate(values) if items else ():
            part = f"{name}[{index}]"
            for each in items:
                words = each(value)
                if words is not None:
                    yield Fault(part, "DG0202", f"an entry of '{name}' {words}")

    return check


def _map(field: Any, rules: Any) -> _FieldCheck:
    name = field.name
    low = rules.min_pairs if rules.HasField("min_pairs") else 0
    high = rules.max_pairs if rules.HasField("max_pairs") else None
    entry = field.message_type.fields_by_name
    keys, _ = _value_checks(rules.keys, entry["key"].enum_type)
    values, _ = _value_checks(rules.values, entry["value"].enum_type)

    def check(message: Message) -> Iterator[Fault]:
        entries = getattr(message, name)
        if len(entries) < low:
            yield Fault(name, "DG0202", f"'{name}' needs at least {low} entries")
        if high is not None and len(entries) > high:
            yield Fault(name, "DG0202", f"'{name}' takes at most {high} entries")
        for key in entries if keys or values else ():
            part = f'{name}["{key}"]'
            for words in filter(None, (each(key) for each in keys)):
                yield Fault(part, "DG0202", f"a key of '{name}' {words}")
            for words in filter(None, (each(entries[key]) for each in values)):
                yield Fault(part, "DG0202", f"a value of '{name}' {words}")

    return check


def _required(name: str) -> _FieldCheck:
    def check(message: Message) -> Iterator[Fault]:
        if not message.HasField(name):
            yield Fault(name, "DG0201", f"'{name}' is required")

    return check


def _one_of(oneof: Any) -> _FieldCheck:
    name = oneof.name
    choices = [field.name for field in oneof.fields]

    def check(message: Message) -> Iterator[Fault]:
        if message.WhichOneof(name) is None:
            yield Fault("", "DG0201", f"one of {_listed(choices)} is required")

    return check


def _not_negative(field: Any) -> _FieldCheck:
    """Envoy refuses negative durations where it reads them, which is nearly everywhere."""
    name, repeated = field.name, field.is_repeated

    def check(message: Message) -> Iterator[Fault]:
        if repeated or not message.HasField(name):
            return
        value = getattr(message, name)
        if value.seconds < 0 or value.nanos < 0:
            yield Fault(name, "DG0202", f"'{name}' must not be negative")

    return check


def _seconds(duration: Message) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _listed(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
