"""The list of codes is closed: every code is used in the sources and provoked by a test."""

import re
from pathlib import Path

import dragoman.config
from dragoman.config.codes import CODES, name_of

SOURCES = Path(dragoman.config.__file__).parent
CODE = re.compile(r"DG0\d{3}")


def used(folder: Path, but: str) -> set[str]:
    texts = [path.read_text() for path in folder.glob("*.py") if path.name != but]
    return {code for text in texts for code in CODE.findall(text)}


def test_codes_and_names_are_unique() -> None:
    names = [name for name, _ in CODES.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    assert list(CODES) == sorted(CODES)
    assert name_of("DG0102") == "unknown-field"


def test_every_code_is_used_and_every_used_one_is_listed() -> None:
    # The round hundreds are the steps' borders.
    in_sources = {code for code in used(SOURCES, "codes.py") if not code.endswith("00")}
    assert in_sources == set(CODES)


def test_every_code_is_named_by_a_test() -> None:
    assert set(CODES) <= used(Path(__file__).parent, "test_codes.py")
