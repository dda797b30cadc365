"""What is wrong, where, and what would be right: one Diagnostic per fault, all faults in one run.

Must not know how configurations are read: it only holds and sorts. Rendering is in render.py.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from dragoman.config.codes import name_of

ERROR = "error"
WARNING = "warning"

# A value below one of these names is never shown: not in a message, not as a source line.
_SECRET = re.compile(
    r"private_key|password|inline_bytes|session_ticket|token_secret|hmac_secret|generic_secret"
    r"|tls_certificate|credential"
)


class Position(NamedTuple):
    """A place in a source. Lines and columns count from 1; line 0 means the whole source."""

    file: str
    line: int = 0
    column: int = 0
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Diagnostic(NamedTuple):
    """One fault or warning."""

    code: str  # "DG0102"
    severity: str  # ERROR or WARNING
    message: str  # what is wrong
    position: Position
    path: str = ""  # "static_resources.listeners[0].address", from the bootstrap's root
    help: str = ""  # what would be right; may be empty
    excerpt: str = ""  # the source line, empty if unknown or secret

    @property
    def name(self) -> str:
        """The code's kebab-case name."""
        return name_of(self.code)

    def __str__(self) -> str:
        return f"{self.position}: {self.severity}[{self.code}]: {self.message}"


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by position, files in the order in which they first appear; doubles dropped."""
    found = list(dict.fromkeys(diagnostics))
    files: dict[str, int] = {}
    for one in found:
        files.setdefault(one.position.file, len(files))
    return sorted(found, key=lambda d: (files[d.position.file], d.position.line, d.position.column))


def is_secret(path: str) -> bool:
    """True if values at `path` must not be shown."""
    return _SECRET.search(path) is not None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or an empty text when no known word is near."""
    # Only needed on the way out with an error.
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else ""
