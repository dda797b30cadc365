import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dragoman.server.logs import LEVELS, LOGGERS, Logs, forward


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def logs(path: Path) -> Iterator[Logs]:
    others = logging.getLogger()
    before, level = others.handlers, others.level
    made = Logs("[%l][%n] %v", str(path))
    made.set_all("info")
    yield made
    made.close()
    others.handlers = before
    others.setLevel(level)


def test_a_component_logs_at_its_level(logs: Logs, path: Path) -> None:
    logs.set_one("http", "debug")
    logging.getLogger("dragoman.http").debug("seen")
    logging.getLogger("dragoman.admin").debug("unseen")
    assert path.read_text() == "[debug][http] seen\n"


def test_the_engines_records_pass_the_same_levels(logs: Logs, path: Path) -> None:
    logs.set_one("upstream", "trace")
    forward([("trace", "upstream", "100% a"), ("trace", "http", "b"), ("info", "http", "c")])
    assert path.read_text() == "[trace][upstream] 100% a\n[info][http] c\n"


def test_off_is_off(logs: Logs, path: Path) -> None:
    logs.set_all("off")
    logging.getLogger("dragoman.main").critical("x")
    forward([("critical", "main", "y")])
    assert path.read_text() == ""


def test_levels_are_listed_per_component(logs: Logs) -> None:
    logs.set_one("admin", "error")
    levels = logs.levels()
    assert tuple(levels) == LOGGERS
    assert levels.pop("admin") == "error"
    assert set(levels.values()) == {"info"}


@pytest.mark.parametrize(("name", "level"), [("nonsense", "info"), ("http", "loud")])
def test_unknown_names_are_refused(logs: Logs, name: str, level: str) -> None:
    with pytest.raises(KeyError):
        logs.set_one(name, level)
    assert set(logs.levels().values()) == {"info"}


def test_every_level_can_be_set(logs: Logs) -> None:
    for level in LEVELS:
        logs.set_all(level)
        assert set(logs.levels().values()) == {level}


def test_reopening_follows_a_moved_file(logs: Logs, path: Path) -> None:
    log = logging.getLogger("dragoman.main")
    log.info("old")
    moved = path.with_suffix(".1")
    path.rename(moved)
    log.info("still old")
    logs.reopen()
    log.info("new")
    assert moved.read_text() == "[info][main] old\n[info][main] still old\n"
    assert path.read_text() == "[info][main] new\n"


@pytest.mark.usefixtures("logs")
def test_libraries_speak_up_only_from_warning(path: Path) -> None:
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("uvicorn.error").warning("trouble")
    assert path.read_text() == "[warning][uvicorn.error] trouble\n"
