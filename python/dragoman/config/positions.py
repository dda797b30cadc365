"""From a field's path in the merged configuration back to file, line and column.

Several sources are merged as protobuf merges messages: lists are appended, so an index counts
through the sources' lists in order, and a field's last source wins.
"""

import re
from collections.abc import Iterator

from dragoman.config.diagnostics import ERROR, Diagnostic, Position
from dragoman.config.nodes import Fields, Items, Node, Scalar
from dragoman.config.shapes import camel_case
from dragoman.config.source import Source

# `a`, `[3]`, and a map's key as `["key"]` or (from the engine) `[key]`
_STEP = re.compile(r'\.?(?:([^.\[\]"]+)|\[(\d+)\]|\["?([^\]]*?)"?\])')
# A typed configuration of these kinds has its content one level deeper than its path says.
_TYPED_STRUCT = ("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct")


class _Place:
    """What the merged configuration has at a path: one node per source that sets it."""

    __slots__ = ("key", "nodes", "source")

    def __init__(self, source: Source, key: Node, nodes: list[tuple[Source, Node]]) -> None:
        self.source = source
        self.key = key
        self.nodes = nodes


class Positions:
    """The sources of one configuration, in the order in which they are merged."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources

    def locate(self, path: str, *, at_value: bool = False) -> Position:
        """Where `path` stands, or the nearest thing around it that exists.

        `at_value`: the value's place rather than the key's, if it is a single value.
        """
        source, node = self._find(path, at_value)
        if node is None:
            return Position(source.name)
        return Position(source.name, node.line, node.column, node.width)

    def diagnostic(
        self,
        code: str,
        message: str,
        path: str,
        help: str = "",
        severity: str = ERROR,
        *,
        at_value: bool = False,
    ) -> Diagnostic:
        """A diagnostic at `path`."""
        source, node = self._find(path, at_value)
        return source.diagnostic(code, message, node, path, help, severity)

    def _find(self, path: str, at_value: bool) -> tuple[Source, Node | None]:
        roots = [(source, source.root) for source in self._sources if source.root is not None]
        if not roots:
            return self._sources[-1], None
        source, root = roots[0]
        place = _Place(source, Node(root.line, root.column), list(roots))
        complete = True
        for step in _steps(path):
            following = _follow(place, step)
            if following is None:
                complete = False
                break
            place = following
        if at_value and complete and place.nodes:
            source, node = place.nodes[-1]
            if isinstance(node, Scalar):
                return source, node
        return place.source, place.key


def _steps(path: str) -> Iterator[str | int]:
    for name, index, key in _STEP.findall(path):
        yield int(index) if index else name or key


def _follow(place: _Place, step: str | int) -> _Place | None:
    if isinstance(step, int):
        return _item(place, step)
    found: list[tuple[Source, Node]] = []
    key: Node | None = None
    source = place.source
    for each_source, node in place.nodes:
        entry = _entry(node, step)
        if entry is not None:
            source, key = each_source, entry[0]
            found.append((each_source, entry[1]))
    return None if key is None else _Place(source, key, found)


def _entry(node: Node, name: str) -> tuple[Scalar, Node] | None:
    if not isinstance(node, Fields):
        return None
    entry = node.fields.get(name) or node.fields.get(camel_case(name))
    if entry is not None:
        return entry
    kind = node.fields.get("@type", (None, None))[1]
    if isinstance(kind, Scalar) and str(kind.value).endswith(_TYPED_STRUCT):
        value = node.fields.get("value", (None, None))[1]
        return _entry(value, name) if value is not None else None
    return None


def _item(place: _Place, index: int) -> _Place | None:
    for source, node in place.nodes:
        if isinstance(node, Items):
            items = node.items
        else:
            items = [] if isinstance(node, Scalar) and node.value is None else [node]
        if index < len(items):
            item = items[index]
            return _Place(source, item, [(source, item)])
        index -= len(items)
    return None
