"""The errors that Dragoman's Python code raises on purpose. Nothing here knows who catches them."""

from collections.abc import Sequence
from typing import Any


class DragomanError(Exception):
    """Base of every error that is raised on purpose."""


class ConfigError(DragomanError):
    """A configuration can't be used; `diagnostics` says why (`dragoman.config.Diagnostic`s)."""

    def __init__(self, diagnostics: Sequence[Any]) -> None:
        self.diagnostics = tuple(diagnostics)
        first = self.diagnostics[0] if self.diagnostics else "no diagnostics"
        more = len(self.diagnostics) - 1
        super().__init__(f"{first}" + (f" (and {more} more)" if more > 0 else ""))
