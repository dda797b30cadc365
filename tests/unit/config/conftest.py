"""Loads texts as files and says what was found in them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman.config import Loaded, load_bootstrap

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(text, "yaml")`: the text as a file of that extension, loaded."""

    def load_text(
        text: str | bytes, extension: str = "yaml", overlay: str | None = None, **options: bool
    ) -> Loaded:
        path = tmp_path / f"config.{extension}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_bootstrap(str(path), overlay, **options)

    return load_text


def codes(loaded: Loaded) -> list[str]:
    """The codes found, in order."""
    return [each.code for each in loaded.diagnostics]


def places(loaded: Loaded) -> list[tuple[str, int, int]]:
    """(code, line, column) of what was found."""
    return [(d.code, d.position.line, d.position.column) for d in loaded.diagnostics]
