"""Retry policies that do less than they seem to: warnings, each with a neighbour without."""

import pytest

from tests.unit.config.conftest import Load, codes
from tests.unit.config.test_check_routes import ROUTE
from tests.unit.config.texts import bootstrap, cluster, listener, manager, routes, virtual_host

POLICY = f"{ROUTE}.route.retry_policy"


def policy(fields: str, action: str = "") -> str:
    """A configuration whose one route has this retry policy."""
    route = f"{{match: {{prefix: /}}, route: {{cluster: c, retry_policy: {{{fields}}} {action}}}}}"
    host = virtual_host(f"[{route}]")
    return bootstrap(listener(manager(routes(host))), clusters=cluster())


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (policy('retry_on: "5xx,connect-failures"'), "DG0512", f"{POLICY}.retry_on"),
        (policy("retry_on: 5xx, retriable_status_codes: [404]"), "DG0513",
         f"{POLICY}.retriable_status_codes"),
        (policy("retry_on: 5xx, retriable_headers: [{name: x}]"), "DG0513",
         f"{POLICY}.retriable_headers"),
        (policy("retry_on: 5xx, per_try_timeout: 15s"), "DG0514", f"{POLICY}.per_try_timeout"),
        (policy("retry_on: 5xx, per_try_timeout: 2s", ", timeout: 1s"), "DG0514",
         f"{POLICY}.per_try_timeout"),
    ],
)  # fmt: skip
def test_it_is_told(load: Load, text: str, code: str, path: str) -> None:
    found = [one for one in load(text).diagnostics if one.severity == "warning"]
    assert [(one.code, one.path) for one in found] == [(code, path)]


@pytest.mark.parametrize(
    "text",
    [
        policy('retry_on: "5xx, connect-failure,unavailable,"'),
        policy('retry_on: "5xx,retriable-status-codes", retriable_status_codes: [404]'),
        policy("retry_on: retriable-headers, retriable_headers: [{name: x}]"),
        policy("retry_on: 5xx, per_try_timeout: 14.9s"),
        policy("retry_on: 5xx, per_try_timeout: 20s", ", timeout: 0s"),
        policy("retry_on: 5xx, per_try_timeout: 20s", ", timeout: 21s"),
    ],
)
def test_its_neighbour_is_fine(load: Load, text: str) -> None:
    assert codes(load(text)) == []


def test_the_word_that_was_meant_is_told(load: Load) -> None:
    found = load(policy("retry_on: conect-failure")).diagnostics
    assert "did you mean 'connect-failure'?" in str(found[0].help)
