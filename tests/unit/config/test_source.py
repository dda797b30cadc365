"""Files and inline texts: formats by extension, limits, encodings, and files that aren't."""

import os
from pathlib import Path

import pytest

from dragoman.config.nodes import Fields
from dragoman.config.source import INLINE, MAX_BYTES, inline_source, read_source


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.yaml", "yaml"), ("a.yml", "yaml"), ("a.YAML", "yaml"), ("a.json", "json"), ("a.pb", "pb"),
     ("a.pb_text", "pb_text"), ("a.conf", "json"), ("a", "json")],
)  # fmt: skip
def test_the_extension_names_the_format(tmp_path: Path, name: str, format: str) -> None:
    path = tmp_path / name
    path.write_text("{}")
    source, faults = read_source(str(path))
    assert (source.format, faults) == (format, [])


@pytest.mark.parametrize(
    "data",
    [b"a: \xc3\xa4\n", b"\xef\xbb\xbfa: \xc3\xa4\n", "a: ä\n".encode("utf-16")],
    ids=["utf-8", "utf-8 with mark", "utf-16"],
)
def test_encodings(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    source, faults = read_source(str(path))
    assert faults == []
    assert isinstance(source.root, Fields)
    assert getattr(source.root.fields["a"][1], "value", None) == "ä"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [(b"a: 1\nb: \xe9\n", 2, 4), (b"\xff\xfea", 1, 3), (bytes(range(128, 256)), 1, 1)],
)
def test_other_bytes_are_told_with_their_place(
    tmp_path: Path, data: bytes, line: int, column: int
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    source, (fault,) = read_source(str(path))
    assert (fault.code, fault.position.line, fault.position.column) == ("DG0003", line, column)
    assert not source.is_read


def test_a_file_over_the_limit_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    source, (fault,) = read_source(str(path))
    assert (fault.code, source.data, source.root) == ("DG0004", b"", None)


@pytest.mark.parametrize("path", ["/nonexistent/a.yaml", "/", "nul\0.yaml"])
def test_what_cannot_be_opened(path: str) -> None:
    _, (fault,) = read_source(path)
    assert fault.code == "DG0001"


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.unlink()  # root may read anything; then the missing file stands in
    _, (fault,) = read_source(str(path))
    assert fault.code == "DG0001"


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    _, (fault,) = read_source(str(path))
    assert fault.code == "DG0009"


def test_inline_text_has_a_name_of_its_own() -> None:
    source, faults = inline_source("a: 1")
    assert (source.name, faults) == (INLINE, [])
    _, (fault,) = inline_source("\udcff: 1")
    assert fault.code == "DG0003"


def test_lines_by_number() -> None:
    source, _ = inline_source("a: 1\r\nb: 2\n")
    assert [source.line(n) for n in (0, 1, 2, 3, 4)] == ["", "a: 1", "b: 2", "", ""]
