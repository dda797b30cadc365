"""JSON text to a tree with the place of every key and value.

As lenient as Envoy's reader: single quotes, unquoted keys, trailing commas and raw control
characters in texts pass. Without recursion, so that depth costs no stack.
"""

import re

from dragoman.config.nodes import Builder, Fields, Items, Node, Scalar, TreeFault, Value

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<text>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z_.])
    | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    | (?P<mark>[][{},:])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
                     r"|u([0-9a-fA-F]{4})|(.))", re.DOTALL)  # fmt: skip
_SIMPLE = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r",
           "t": "\t"}  # fmt: skip
_WORDS: dict[str, Value] = {"null": None, "true": True, "false": False}


def read_json(text: str) -> tuple[Node | None, list[TreeFault]]:
    """The root (None: no content) and the faults that didn't stop the reading.

    Raises TreeFault for a text that can't become a tree.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._builder = Builder()
        self._kind = ""
        self._token = ""
        self._start = 0

    def parse(self) -> tuple[Node | None, list[TreeFault]]:
        self._read()
        if self._kind == "end":
            return None, []
        closers: list[str] = []
        self._value(closers)
        while closers:
            self._read()
            if self._token == closers[-1] and self._kind == "mark":
                self._builder.close()
                closers.pop()
                self._after_value(closers)
            elif closers[-1] == "}":
                self._member(closers)
            else:
                self._value(closers)
        self._read()
        if self._kind != "end":
            raise self._fault("text after the end of the JSON value")
        return self._builder.root, self._builder.faults

    def _member(self, closers: list[str]) -> None:
        if self._kind not in ("text", "word"):
            raise self._fault("expected a key or '}'")
        key = self._unquoted() if self._kind == "text" else self._token
        self._builder.key(Scalar(key, *self._place()))
        self._read()
        if self._token != ":":
            raise self._fault("expected ':' after the key")
        self._read()
        self._value(closers)

    def _value(self, closers: list[str]) -> None:
        line, column, width = self._place()
        if self._kind == "mark" and self._token in "[{":
            self._builder.open((Items if self._token == "[" else Fields)(line, column))
            closers.append("]" if self._token == "[" else "}")
            return
        if self._kind == "text":
            value: Value = self._unquoted()
        elif self._kind == "number":
            value = _number(self._token)
        elif self._kind == "word" and self._token in _WORDS:
            value = _WORDS[self._token]
        else:
            raise self._fault("expected a value")
        self._builder.add(Scalar(value, line, column, width))
        self._after_value(closers)

    def _after_value(self, closers: list[str]) -> None:
        """A comma, or (left to be read again) the container's end."""
        if not closers:
            return
        self._read()
        if self._kind == "mark" and self._token == closers[-1]:
            self._at = self._start
        elif self._token != "," or self._kind != "mark":
            raise self._fault(f"expected ',' or '{closers[-1]}'")

    def _read(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            self._start = _after_blanks(self._text, self._at)
            quoted = self._text[self._start : self._start + 1] in ('"', "'")
            raise self._fault("the text isn't closed" if quoted else "unexpected character")
        self._kind = match.lastgroup
        self._token = match[self._kind]
        self._start = match.start(self._kind)
        self._at = match.end()

    def _place(self) -> tuple[int, int, int]:
        """Line, column and width of the present token. Tokens come in order, so lines add up."""
        lines = self._text.count("\n", self._counted, self._start)
        if lines:
            self._line += lines
            self._line_start = self._text.rfind("\n", 0, self._start) + 1
        self._counted = self._start
        return self._line, self._start - self._line_start + 1, max(1, len(self._token))

    def _fault(self, what: str) -> TreeFault:
        line, column, _ = self._place()
        return TreeFault("DG0002", f"not valid JSON: {what}", line, column)

    def _unquoted(self) -> str:
        body = self._token[1:-1]
        return _ESCAPE.sub(self._unescape, body) if "\\" in body else body

    def _unescape(self, match: re.Match[str]) -> str:
        high, low, plain, letter = match.groups()
        if high:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        if plain:
            code = int(plain, 16)
            if 0xD800 <= code < 0xE000:
                raise self._fault("half of a surrogate pair")
            return chr(code)
        if letter not in _SIMPLE:
            raise self._fault(f"unknown escape '\\{letter}'")
        return _SIMPLE[letter]


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _number(text: str) -> Value:
    # Python refuses very long integers; those are out of every field's range anyway.
    if text.lstrip("-").isdigit() and len(text) <= 40:
        return int(text)
    return float(text)
