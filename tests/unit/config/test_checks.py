"""Checks that belong to no one part: the bootstrap, the admin page, typed configurations, files."""

from pathlib import Path

import pytest

from tests.unit.config.conftest import Load, codes
from tests.unit.config.test_check_listeners import CHAIN, HCM, first_error
from tests.unit.config.texts import bootstrap, listener, manager, with_manager

FILE = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def log(path: str) -> str:
    return f'access_log: [{{name: a, typed_config: {{"@type": {FILE}, path: "{path}"}}}}]'


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (bootstrap(more="stats_flush_interval: 5s\nstats_flush_on_admin: true"), "DG0408",
         "stats_flush_on_admin"),
        (bootstrap(more="admin: {access_log_path: /nonexistent/x}"), "DG0413",
         "admin.access_log_path"),
        (with_manager(log("/nonexistent/x")), "DG0413",
         f"{HCM}.access_log[0].typed_config.path"),
        (bootstrap(listener("{name: envoy.filters.network.http_connection_manager}")), "DG0107",
         f"{CHAIN}.filters[0]"),
        (bootstrap(listener(manager(filters="[{name: x}]"))), "DG0107",
         f"{HCM}.http_filters[0]"),
        (bootstrap(listener(manager(filters="[{name: x, typed_config: {}}]"))), "DG0107",
         f"{HCM}.http_filters[0].typed_config"),
        (with_manager("access_log: [{name: envoy.access_loggers.stdout}]"), "DG0107",
         f"{HCM}.access_log[0]"),
    ],
)  # fmt: skip
def test_what_is_refused(load: Load, text: str, code: str, path: str) -> None:
    assert first_error(load, text) == (code, path)


def test_what_is_accepted(load: Load, tmp_path: Path) -> None:
    for text in (
        with_manager(log(str(tmp_path / "log"))),
        with_manager(log("log")),
        bootstrap(more="stats_flush_on_admin: true"),
        bootstrap(more="admin: {}"),
    ):
        assert codes(load(text)) == []


def test_the_router_by_its_name_alone_is_a_warning(load: Load) -> None:
    loaded = load(bootstrap(listener(manager(filters="[{name: envoy.filters.http.router}]"))))
    assert codes(loaded) == ["DG0502"]
    assert loaded.ok
    listener_bytes = next(r.payload for r in loaded.resources() if r.kind == "listener")
    assert b"envoy.extensions.filters.http.router.v3.Router" in listener_bytes
