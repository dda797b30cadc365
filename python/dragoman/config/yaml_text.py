"""YAML text to a tree, from libyaml's events, with scalars read as Envoy's YAML reader reads them.

Built from events and not from composed nodes so that aliases, depth and number of values are
bounded before memory is spent. Differences from Envoy on purpose: a duplicate key and a second
document are faults; merge keys ("<<") are not expanded here either.
"""

import re
from typing import Any

from dragoman.config.nodes import MAX_DEPTH, Builder, Fields, Items, Node, Scalar, TreeFault, Value

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {
    form: value
    for word, value in (
        ("y", True), ("yes", True), ("true", True), ("on", True),
        ("n", False), ("no", False), ("false", False), ("off", False),
    )
    for form in (word, word.upper(), word.capitalize())
}  # fmt: skip
_LIBYAML_DEPTH = "maximum nesting depth"
# C++ stream integers with any base: 0x10 is 16, 010 is 8, and 08 is no integer.
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))\Z")


def read_yaml(text: str) -> tuple[Node | None, list[TreeFault]]:
    """The document's root (None: no content) and the faults that didn't stop the reading.

    Raises TreeFault for a text that can't become a tree.
    """
    import yaml

    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(text)
        try:
            return _Composer(loader).compose()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        what = f"character not allowed in YAML: {error.reason}"
        raise TreeFault("DG0002", what, line, column) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if _LIBYAML_DEPTH in what:
            # It looks ahead of its events, so its own limit can be met before ours.
            raise TreeFault(
                "DG0005", f"nested deeper than {MAX_DEPTH} levels", line, column
            ) from None
        raise TreeFault("DG0002", f"not valid YAML: {what}", line, column) from None
    except yaml.YAMLError as error:
        raise TreeFault("DG0002", f"not valid YAML: {error}") from None


def scalar_value(text: str) -> Value:
    """What Envoy makes of an unquoted scalar: fractions and large integers stay text."""
    if text in _NULLS:
        return None
    truth = _BOOLS.get(text)
    if truth is not None:
        return truth
    match = _INTEGER.match(text)
    # 24 characters hold every 64-bit number; longer ones would only cost time.
    if match is None or len(text) > 24:
        return text
    sign, hexadecimal, octal, decimal = match.groups()
    if hexadecimal:
        number = int(hexadecimal, 16)
    elif decimal:
        number = int(decimal)
    else:
        number = int(octal or "0", 8)
    number = -number if sign == "-" else number
    if -(2**31) <= number < 2**31:
        return number
    return str(number) if -(2**63) <= number < 2**63 else text


class _Composer:
    """One document's events into a Builder."""

    def __init__(self, loader: Any) -> None:
        self._next = loader.get_event
        self._builder = Builder()
        # anchor -> (node, number of values it stands for); None while it is still open
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        # per open container: its anchor and the count of values before it
        self._open: list[tuple[str | None, int]] = []

    def compose(self) -> tuple[Node | None, list[TreeFault]]:
        from yaml import events

        self._next()  # the stream's start
        if isinstance(self._next(), events.StreamEndEvent):
            return None, []
        handlers = {
            events.ScalarEvent: self._scalar,
            events.SequenceStartEvent: self._start_items,
            events.MappingStartEvent: self._start_fields,
            events.SequenceEndEvent: self._end,
            events.MappingEndEvent: self._end,
            events.AliasEvent: self._alias,
        }
        while True:
            event = self._next()
            handler = handlers.get(type(event))
            if handler is None:  # the document's end
                break
            handler(event)
        self._nothing_after(events)
        return self._builder.root, self._builder.faults

    def _nothing_after(self, events: Any) -> None:
        start = self._next()
        if isinstance(start, events.StreamEndEvent):
            return
        content = self._next()
        if not isinstance(content, events.ScalarEvent) or content.value:
            mark = start.start_mark
            raise TreeFault(
                "DG0008", "a second YAML document starts here", mark.line + 1, mark.column + 1,
                "Envoy would silently ignore it; keep one document in the file",
            )  # fmt: skip

    def _scalar(self, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        width = end.column - start.column if end.line == start.line else 1
        text = event.value
        if self._builder.wants_key:
            key = Scalar(text, start.line + 1, start.column + 1, max(width, 1))
            self._builder.key(key)
            self._anchor(event, key, 1)
            return
        # Envoy looks at the tag "!" alone, which quoted scalars have; other tags say nothing to it.
        is_text = event.tag == "!" if event.tag is not None else bool(event.style)
        value = text if is_text else scalar_value(text)
        node = Scalar(value, start.line + 1, start.column + 1, max(width, 1))
        self._builder.add(node)
        self._anchor(event, node, 1)

    def _anchor(self, event: Any, node: Node, count: int) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, count)

    def _start_items(self, event: Any) -> None:
        self._start(event, Items(event.start_mark.line + 1, event.start_mark.column + 1))

    def _start_fields(self, event: Any) -> None:
        self._start(event, Fields(event.start_mark.line + 1, event.start_mark.column + 1))

    def _start(self, event: Any, node: Items | Fields) -> None:
        self._no_complex_key(node)
        before = self._builder.count
        self._builder.open(node)
        self._open.append((event.anchor, before))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _end(self, event: Any) -> None:
        node = self._builder.close()
        anchor, before = self._open.pop()
        if anchor is not None:
            self._anchors[anchor] = (node, self._builder.count - before)

    def _alias(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if event.anchor not in self._anchors:
            raise TreeFault("DG0002", f"no anchor '&{event.anchor}' before this", line, column)
        target = self._anchors[event.anchor]
        if target is None:
            raise TreeFault("DG0007", f"'*{event.anchor}' contains itself", line, column)
        node, count = target
        if self._builder.wants_key:
            self._no_complex_key(node)
            assert isinstance(node, Scalar)
            self._builder.key(Scalar(node.value, line, column))
            return
        self._builder.spend(count, line, column)
        self._builder.add(node, 0)

    def _no_complex_key(self, node: Node) -> None:
        if self._builder.wants_key and not isinstance(node, Scalar):
            raise TreeFault("DG0109", "a mapping's key must be a scalar", node.line, node.column)
