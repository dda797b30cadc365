"""Warnings for fields that Envoy's API calls deprecated."""

from collections.abc import Iterator

from dragoman.config.messages import Types
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

_deprecated: dict[str, frozenset[str]] = {}


def faults(step: Step, types: Types) -> Iterator[Fault]:
    """One fault (a warning) per deprecated field that is set and otherwise works."""
    names = _deprecated.get(step.type_name)
    if names is None:
        fields = types.declaration(step.message.DESCRIPTOR).field
        names = frozenset(field.name for field in fields if field.options.deprecated)
        _deprecated[step.type_name] = names
    if not names:
        return
    for field, _ in step.set_fields:
        if field.name in names and field.name not in step.unsupported:
            yield Fault(field.name, "DG0501", f"'{field.name}' is deprecated by Envoy's API")
