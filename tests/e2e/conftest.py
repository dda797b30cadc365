from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import CONFIG, DRAGOMAN, Running, origin


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration file: one listener, one cluster with one living origin, an admin page."""
    path = tmp_path_factory.mktemp("config") / "envoy.yaml"
    with origin() as port:
        path.write_text(CONFIG.format(port=port))
        yield path


@pytest.fixture
def dragoman(config: Path, tmp_path: Path) -> Iterator[Running]:
    """A running Dragoman of the test's own."""
    running = Running(DRAGOMAN, config, tmp_path)
    yield running
    running.end()
