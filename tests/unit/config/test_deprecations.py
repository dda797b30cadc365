"""Deprecated fields that work are warnings."""

from tests.unit.config.conftest import Load, codes
from tests.unit.config.texts import bootstrap, static, with_route


def test_a_deprecated_field_is_a_warning_with_its_place(load: Load) -> None:
    loaded = load(bootstrap(clusters=static("\n   max_requests_per_connection: 5")))
    (warning,) = loaded.diagnostics
    assert (warning.code, warning.severity, warning.position.line) == ("DG0501", "warning", 2)
    assert loaded.ok


def test_each_use_is_told(load: Load) -> None:
    match = "{prefix: /, headers: [{name: a, exact_match: b}, {name: c, prefix_match: d}]}"
    assert codes(load(with_route("route: {cluster: c}", match))) == ["DG0501", "DG0501"]


def test_what_is_refused_is_not_also_deprecated(load: Load) -> None:
    assert codes(load(bootstrap(clusters=static("track_timeout_budgets: true")))) == ["DG0301"]
