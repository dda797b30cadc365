import pytest

from dragoman.admin.access import Access
from dragoman.admin.commands import COMMANDS, respond

from .fakes import Proxy, get, post

MUTATING = [command.path for command in COMMANDS if command.mutates]
SHOWING = [command.path for command in COMMANDS if not command.mutates]


def test_the_paths() -> None:
    assert [command.path for command in COMMANDS] == sorted(command.path for command in COMMANDS)
    assert MUTATING == [
        "/drain_listeners",
        "/healthcheck/fail",
        "/healthcheck/ok",
        "/logging",
        "/quitquitquit",
        "/reopen_logs",
        "/reset_counters",
    ]


@pytest.mark.parametrize("path", MUTATING)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_what_changes_something_is_post_only(path: str, method: str) -> None:
    proxy = Proxy()
    answer = respond(proxy, Access(), method, path)
    assert (answer.status, answer.body) == (405, f"Method {method} not allowed, POST required.")
    assert proxy == Proxy()


@pytest.mark.parametrize("path", SHOWING)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_what_shows_something_takes_any_method(path: str, method: str) -> None:
    assert respond(Proxy(), Access(), method, path).status == 200


@pytest.mark.parametrize("path", ["/zzz", "/stats/", "/clusters/", "/Stats", "stats", ""])
def test_an_unknown_path_gets_the_help(path: str) -> None:
    answer = get(Proxy(), path)
    assert answer.status == 404
    assert answer.body == "invalid path. " + get(Proxy(), "/help").body


def test_slashes_in_a_row_are_one() -> None:
    assert get(Proxy(), "//stats").status == 200


def test_help_lists_every_command_and_parameter() -> None:
    text = get(Proxy(), "/help").body
    assert text.startswith("admin commands are:\n  /: ")
    for command in COMMANDS:
        mark = " (POST)" if command.mutates else ""
        assert f"\n  {command.path}{mark}: {command.help}\n" in text
        for param in command.params:
            assert f"\n      {param.name}: {param.help}" in text


def test_home_links_what_shows_and_has_buttons_for_what_changes() -> None:
    answer = get(Proxy(), "/")
    assert answer.content_type == "text/html; charset=UTF-8"
    for path in SHOWING:
        assert path == "/" or f'href="{path[1:]}"' in answer.body
    for path in MUTATING:
        assert f'action="{path[1:]}" method="post"' in answer.body


def test_what_is_not_allowed_is_forbidden_before_it_is_looked_up() -> None:
    access = Access([{"exact": "/ready"}, {"exact": "/zzz"}])
    proxy = Proxy()
    refused = respond(proxy, access, "POST", "/quitquitquit")
    assert refused.body == "request to path /quitquitquit not allowed"
    assert refused.status == 403
    assert not proxy.ended
    assert respond(proxy, access, "GET", "/ready").status == 200
    assert respond(proxy, access, "GET", "/ready?x").status == 403
    assert respond(proxy, access, "GET", "/zzz").status == 404


def test_post_reaches_the_action() -> None:
    proxy = Proxy()
    assert post(proxy, "/quitquitquit").body == "OK\n"
    assert proxy.ended
