"""The tree that YAML and JSON texts become: values with the place they stand at, nothing of Envoy.

Three kinds of node. Scalars hold what Envoy's YAML reader makes of them: None, bool, int (32 bits),
str, and for JSON texts also float and larger ints.
"""

Value = None | bool | int | float | str


class Node:
    """A place: line and column count from 1, `width` is what a caret underlines."""

    __slots__ = ("column", "line", "width")

    def __init__(self, line: int, column: int, width: int = 1) -> None:
        self.line = line
        self.column = column
        self.width = width


class Scalar(Node):
    """A leaf; also used for the keys of Fields."""

    __slots__ = ("value",)

    def __init__(self, value: Value, line: int, column: int, width: int = 1) -> None:
        super().__init__(line, column, width)
        self.value = value


class Items(Node):
    """A sequence."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.items: list[Node] = []


class Fields(Node):
    """A mapping: key text -> (the key's place, the value)."""

    __slots__ = ("fields",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.fields: dict[str, tuple[Scalar, Node]] = {}


class TreeFault(Exception):
    """The text can't become a tree: code, message, line and column (0: unknown), help."""

    def __init__(
        self, code: str, message: str, line: int = 0, column: int = 0, help: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.help = help


# Envoy's own protobuf reader stops at 100 messages; a list between two messages is a level here.
MAX_DEPTH = 128
# With aliases expanded. About 150 bytes each; a thousand clusters are some 25,000.
MAX_NODES = 500_000


class Builder:
    """Puts nodes together from the outside in, without recursion, within the limits.

    Faults that don't stop the reading (duplicate keys) are kept in `faults`.
    """

    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[TreeFault] = []
        self.count = 0
        self._open: list[Items | Fields] = []
        self._keys: list[Scalar | None] = []

    @property
    def wants_key(self) -> bool:
        """True if the next scalar is a mapping's key."""
        return bool(self._open) and isinstance(self._open[-1], Fields) and self._keys[-1] is None

    def spend(self, nodes: int, line: int, column: int) -> None:
        """Counts `nodes` more values against the limit."""
        self.count += nodes
        if self.count > MAX_NODES:
            raise TreeFault(
                "DG0006", f"more than {MAX_NODES} values with aliases expanded", line, column
            )

    def key(self, key: Scalar) -> None:
        """Takes the key of the next value."""
        container = self._open[-1]
        assert isinstance(container, Fields)
        first = container.fields.get(str(key.value))
        if first is not None:
            self.faults.append(
                TreeFault(
                    "DG0101",
                    f"'{key.value}' stands twice in this mapping",
                    key.line,
                    key.column,
                    f"the first one is on line {first[0].line}; Envoy would silently drop one",
                )
            )
        self._keys[-1] = key

    def add(self, node: Node, nodes: int = 1) -> None:
        """Takes a complete value (`nodes`: how many values it stands for)."""
        self.spend(nodes, node.line, node.column)
        if not self._open:
            self.root = node
            return
        container = self._open[-1]
        if isinstance(container, Items):
            container.items.append(node)
            return
        key = self._keys[-1]
        assert key is not None
        container.fields[str(key.value)] = (key, node)
        self._keys[-1] = None

    def open(self, node: Items | Fields) -> None:
        """Adds a container that the next values belong to."""
        if len(self._open) >= MAX_DEPTH:
            raise TreeFault(
                "DG0005", f"nested deeper than {MAX_DEPTH} levels", node.line, node.column
            )
        self.add(node)
        self._open.append(node)
        self._keys.append(None)

    def close(self) -> Items | Fields:
        """Ends the innermost container."""
        self._keys.pop()
        return self._open.pop()
