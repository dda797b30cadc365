"""What of Envoy's configuration this release supports: reads support.table, checks messages.

The table is the only place that says so; docs/compatibility.md is made from `rows()`.
"""

import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dragoman.config.messages import Types, is_map, types
from dragoman.config.shapes import ENUM, WRAPPERS
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import ANY, Step

_TABLE = Path(__file__).with_name("support.table")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_GENERIC = "not supported by this release"
_DURATION = "google.protobuf.Duration"


class Row(NamedTuple):
    """One row of the table. `field` is "*" for "every field and everything below"."""

    message: str
    field: str
    works: bool
    condition: str  # of "works if"; "" without
    reason: str  # of "refused:"; "" otherwise
    note: str


def read_table(text: str) -> dict[str, dict[str, Row]]:
    """Rows by message and field. Raises ValueError for a line that is no row."""
    table: dict[str, dict[str, Row]] = {}
    message = ""
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        if line[0] != " ":
            message = line.strip()
            table[message] = {}
            continue
        field, _, said = line.strip().partition(" ")
        row = _row(message, field, said.strip())
        if field in table[message]:
            raise ValueError(f"{message}.{field} stands twice")
        table[message][field] = row
    return table


def rows() -> list[Row]:
    """The whole table, in its own order."""
    return [row for fields in table().values() for row in fields.values()]


_read: dict[str, dict[str, Row]] = {}


def table() -> dict[str, dict[str, Row]]:
    """The table by message and field, read once."""
    if not _read:
        _read.update(read_table(_TABLE.read_text(encoding="utf-8")))
    return _read


def faults(step: Step) -> Iterator[Fault]:
    """What is set in the step's message and doesn't work. Marks it so that the walk prunes it."""
    if step.pruned:
        return
    fields = table().get(step.type_name)
    if fields is None:
        step.unsupported.update(field.name for field, _ in step.set_fields)
        if step.type_name == ANY:
            yield Fault("", "DG0303", f"{step.message.type_url} is unknown or can't be decoded")
        elif step.is_extension:
            yield Fault("", "DG0303", f"the extension {step.type_name} is {_GENERIC}")
        else:
            yield Fault("", "DG0301", f"{step.type_name} is {_GENERIC}")
        return
    if "*" in fields:
        step.unsupported.update(field.name for field, _ in step.set_fields)
        return
    for field, value in step.set_fields:
        row = fields.get(field.name)
        if row is None or not row.works:
            step.unsupported.add(field.name)
            reason = row.reason if row is not None else ""
            yield Fault(field.name, "DG0301", f"'{field.name}' is {_GENERIC}", reason)
        elif row.condition:
            words = _breaks(row, field, value)
            if words is not None:
                step.unsupported.add(field.name)
                yield Fault(field.name, "DG0302", words, row.note)


def _row(message: str, field: str, said: str) -> Row:
    said, _, note = said.partition(" -- ")
    said, note = said.strip(), note.strip()
    if said == "works":
        return Row(message, field, True, "", "", note)
    if said.startswith("works if "):
        return Row(message, field, True, said.removeprefix("works if "), "", note)
    if said.startswith("refused: "):
        return Row(message, field, False, "", said.removeprefix("refused: "), note)
    raise ValueError(f"{message}.{field}: not a verdict: {said!r}")


def _breaks(row: Row, field: Any, value: Any) -> str | None:
    """What to say if the value breaks the row's condition."""
    words = row.condition.split()
    if words[0] == "count":
        if _COMPARE[words[1]](len(value), float(words[2])):
            return None
        return f"'{field.name}' has {len(value)} entries; this release supports {words[2]}"
    if words[0] == "type":
        return _other_type(row, field, value)
    for each in _values(field, value):
        shown = _shown(field, each)
        if words[0] in _COMPARE:
            if not _COMPARE[words[0]](_number(each), float(words[1])):
                return f"'{field.name}' must be {row.condition} in this release"
        elif shown not in row.condition.split(" | "):
            return f"'{field.name}' {shown} is {_GENERIC} (supported: {row.condition})"
    return None


def _other_type(row: Row, field: Any, value: Any) -> str | None:
    allowed = row.condition.removeprefix("type ").split(" | ")
    for each in _values(field, value):
        # A typed configuration, or a message that holds one under the usual name.
        packed = each if each.DESCRIPTOR.full_name == ANY else each.typed_config
        name = packed.type_url.rpartition("/")[2]
        if name and name not in allowed:
            return f"the extension {name} is {_GENERIC} here"
    return None


def _values(field: Any, value: Any) -> list[Any]:
    if is_map(field):
        return [value[key] for key in value]
    if field.is_repeated:
        return list(value)
    if field.message_type is not None and field.message_type.full_name in WRAPPERS:
        return [value.value]
    return [value]


def _number(value: Any) -> float:
    if getattr(value, "DESCRIPTOR", None) is not None and value.DESCRIPTOR.full_name == _DURATION:
        return float(value.seconds + value.nanos / 1e9)
    return float(value)


def _shown(field: Any, value: Any) -> str:
    if field.type == ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def problems(known: Types | None = None) -> list[str]:
    """What is wrong with the table itself: names that Envoy doesn't have, holes below "works"."""
    known = known or types()
    found = []
    for name, fields in table().items():
        descriptor = known.find(name)
        if descriptor is None:
            found.append(f"{name}: no such message")
            continue
        by_name = descriptor.fields_by_name
        for field, row in fields.items():
            if field == "*":
                continue
            if field not in by_name:
                found.append(f"{name}.{field}: no such field")
                continue
            found.extend(
                f"{name}.{field}: {problem}" for problem in _holes(row, by_name[field], known)
            )
    return found


def _holes(row: Row, field: Any, known: Types) -> Iterator[str]:
    if not row.works:
        return
    inner = field.message_type
    if is_map(field):
        inner = inner.fields_by_name["value"].message_type
    is_own = inner is not None and not inner.full_name.startswith("google.protobuf.")
    if is_own and inner.full_name not in table():
        yield f"{inner.full_name} has no section"
    if row.condition.startswith("type "):
        for name in row.condition.removeprefix("type ").split(" | "):
            if known.find(name) is None:
                yield f"{name}: no such message"
            elif name not in table():
                yield f"{name} has no section"
    elif field.enum_type is not None and row.condition:
        for value in row.condition.split(" | "):
            if value not in field.enum_type.values_by_name:
                yield f"no value {value}"
