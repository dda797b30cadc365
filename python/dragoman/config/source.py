"""A file or an inline text, read within limits into a tree. Must not know any message.

The format follows the extension as in Envoy: .yaml/.yml are YAML, .pb binary and .pb_text text
protobuf, everything else JSON.
"""

from collections.abc import Callable
from pathlib import Path

from dragoman.config.diagnostics import ERROR, Diagnostic, Position, is_secret
from dragoman.config.nodes import Node, TreeFault

MAX_BYTES = 32 * 1024 * 1024

YAML, JSON, BINARY, TEXT_PROTO = "yaml", "json", "pb", "pb_text"
_FORMATS = {".yaml": YAML, ".yml": YAML, ".pb": BINARY, ".pb_text": TEXT_PROTO}
INLINE = "<config-yaml>"


class Source:
    """One text: its name as shown to the user, its content, and its tree once read."""

    def __init__(self, name: str, format: str, data: bytes) -> None:
        self.name = name
        self.format = format
        self.data = data
        self.text = ""
        self.root: Node | None = None
        #: the text could be read, into `root` if the format has trees
        self.is_read = False
        self._lines: list[str] | None = None

    def line(self, number: int) -> str:
        """The text of a line (from 1), or "" if there is none."""
        if self._lines is None:
            # YAML 1.1's line breaks; JSON texts hold the others only inside of values.
            text = self.text.replace("\r\n", "\n")
            if self.format == YAML:
                for other in "\r\x85\u2028\u2029":
                    text = text.replace(other, "\n")
            self._lines = text.split("\n")
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def diagnostic(
        self,
        code: str,
        message: str,
        node: Node | None = None,
        path: str = "",
        help: str = "",
        severity: str = ERROR,
    ) -> Diagnostic:
        """A diagnostic at `node`, with the source line unless it may hold a secret."""
        if node is None:
            return Diagnostic(code, severity, message, Position(self.name), path, help)
        where = Position(self.name, node.line, node.column, node.width)
        excerpt = "" if is_secret(path) else self.line(node.line)
        return Diagnostic(code, severity, message, where, path, help, excerpt)


def read_source(path: str) -> tuple[Source, list[Diagnostic]]:
    """The file at `path` with its tree; the tree is missing if a diagnostic says why."""
    source = Source(path, _FORMATS.get(Path(path).suffix.lower(), JSON), b"")
    try:
        with Path(path).open("rb") as file:
            source.data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return source, [source.diagnostic("DG0001", f"can't read {path}: {reason}")]
    if len(source.data) > MAX_BYTES:
        source.data = b""
        return source, [source.diagnostic("DG0004", f"larger than {MAX_BYTES} bytes")]
    return source, parse(source)


def inline_source(text: str) -> tuple[Source, list[Diagnostic]]:
    """The tree of `--config-yaml`."""
    source = Source(INLINE, YAML, text.encode("utf-8", "surrogateescape"))
    if len(source.data) > MAX_BYTES:
        return source, [source.diagnostic("DG0004", f"larger than {MAX_BYTES} bytes")]
    return source, parse(source)


def parse(source: Source) -> list[Diagnostic]:
    """Fills in `source.text` and `source.root`; says what is wrong with the text."""
    if source.format == BINARY:
        source.is_read = True
        return []
    try:
        source.text = _decode(source.data)
        source.data = b""
        if source.format == TEXT_PROTO:
            source.is_read = True
            return []
        source.root, faults = _reader(source.format)(source.text)
        if source.root is None:
            faults = [TreeFault("DG0009", "there is no configuration in it")]
        source.is_read = source.root is not None
    except TreeFault as fault:
        faults = [fault]
        source.root = None
    return [_diagnostic(source, fault) for fault in faults]


def _reader(format: str) -> Callable[[str], tuple[Node | None, list[TreeFault]]]:
    if format == YAML:
        from dragoman.config.yaml_text import read_yaml

        return read_yaml
    from dragoman.config.json_text import read_json

    return read_json


def _diagnostic(source: Source, fault: TreeFault) -> Diagnostic:
    node = Node(fault.line, fault.column) if fault.line else None
    return source.diagnostic(fault.code, fault.message, node, help=fault.help)


def _decode(data: bytes) -> str:
    encoding = "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start]) + 1
        what = f"byte {error.start} is not {encoding.removesuffix('-sig').upper()}"
        raise TreeFault("DG0003", what, line, column) from None
