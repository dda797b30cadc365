"""The table of what works: true to the descriptors, and strictly kept."""

from pathlib import Path

import pytest

import dragoman.config
from dragoman.config import support
from dragoman.config.messages import types
from dragoman.config.support import read_table
from dragoman.config.walk import walk
from tests.unit.config.conftest import Load, codes
from tests.unit.config.test_reader import read
from tests.unit.config.texts import bootstrap, listener, static, with_cluster, with_manager

CLUSTER = "envoy.config.cluster.v3.Cluster"


def test_the_table_names_only_what_envoy_has_and_leaves_no_hole() -> None:
    assert support.problems() == []


def test_rows_in_order_and_with_their_parts() -> None:
    rows = support.rows()
    assert len(rows) > 300
    row = next(r for r in rows if (r.message, r.field) == (CLUSTER, "type"))
    assert (row.works, row.condition) == (True, "STATIC | STRICT_DNS | LOGICAL_DNS | ORIGINAL_DST")
    refused = next(r for r in rows if (r.message, r.field) == (CLUSTER, "health_checks"))
    assert not refused.works
    assert refused.reason


@pytest.mark.parametrize("said", ["maybe", "works unless x", "refused", ""])
def test_a_line_that_is_no_verdict_is_an_error(said: str) -> None:
    with pytest.raises(ValueError, match="not a verdict"):
        read_table(f"a.B\n  c  {said}\n")


def test_a_field_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        read_table("a.B\n  c  works\n  c  works\n")


def test_the_table_is_found_without_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    folder = Path(dragoman.config.__file__).parent
    assert read_table((folder / "support.table").read_text()) == support.table()


def faults(text: str, type_name: str, table: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(support, "_read", read_table(table))
    message, found = read(text, type_name)
    assert found == []
    return [
        step.below(fault.part) + " " + fault.code
        for step in walk(types(), message)
        for fault in support.faults(step)
    ]


@pytest.mark.parametrize(
    ("row", "text", "refused"),
    [
        ("name works", "name: a", []),
        ("name refused: x", "name: a", ["name DG0301"]),
        ("alt_stat_name works", "name: a", ["name DG0301"]),
        ("type works if STATIC | EDS", "type: EDS", []),
        ("type works if STATIC | EDS", "type: STRICT_DNS", ["type DG0302"]),
        ("type works if STATIC", "type: STATIC", []),
        ("respect_dns_ttl works if false", "respect_dns_ttl: true", ["respect_dns_ttl DG0302"]),
        ("respect_dns_ttl works if false", "respect_dns_ttl: false", []),
        ("wait_for_warm_on_init works if true", "wait_for_warm_on_init: true", []),
        ("wait_for_warm_on_init works if true", "wait_for_warm_on_init: false",
         ["wait_for_warm_on_init DG0302"]),
        ("max_requests_per_connection works if <= 5", "max_requests_per_connection: 5", []),
        ("max_requests_per_connection works if < 5", "max_requests_per_connection: 5",
         ["max_requests_per_connection DG0302"]),
        ("connect_timeout works if >= 1", "connect_timeout: 0.5s", ["connect_timeout DG0302"]),
        ("filters works if count <= 1", "filters: [{name: a}]", ["filters[0] DG0301"]),
        ("filters works if count <= 1", "filters: [{name: a}, {name: b}]", ["filters DG0302"]),
        ("* works", "{name: a, health_checks: [{}]}", []),
        ("transport_socket works", "transport_socket: {name: a}", ["transport_socket DG0301"]),
    ],
)  # fmt: skip
def test_conditions(
    row: str, text: str, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert faults(text, CLUSTER, f"{CLUSTER}\n  {row}\n", monkeypatch) == refused


RAW = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        (RAW, f"{RAW}\n  * works\n", []),
        (RAW, "", ["transport_socket.typed_config DG0303"]),
        (TLS, f"{RAW}\n  * works\n", ["transport_socket DG0302"]),
    ],
)
def test_extensions(
    name: str, more: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (
        f"{CLUSTER}\n  transport_socket works if type {RAW}\n"
        f"envoy.config.core.v3.TransportSocket\n  typed_config works\n{more}"
    )
    text = f'transport_socket: {{typed_config: {{"@type": type.googleapis.com/{name}}}}}'
    assert faults(text, CLUSTER, table, monkeypatch) == expected


def test_nothing_is_said_about_what_is_below_something_refused(load: Load) -> None:
    loaded = load(
        bootstrap(clusters=static("health_checks: [{timeout: 0s, http_health_check: {}}]"))
    )
    assert codes(loaded) == ["DG0301"]


@pytest.mark.parametrize(
    "text",
    [
        with_manager("tracing: {}"),
        with_manager("codec_type: HTTP3"),
        with_cluster("type: EDS"),
        bootstrap(listener(more=", transparent: true")),
        bootstrap(more="dynamic_resources: {}"),
        bootstrap(more="layered_runtime: {layers: [{name: a, admin_layer: {}}]}"),
        bootstrap(more="overload_manager: {}"),
    ],
)
def test_what_is_not_built_is_refused(load: Load, text: str) -> None:
    loaded = load(text)
    assert not loaded.ok
    assert all(code in ("DG0301", "DG0302", "DG0303") for code in codes(loaded))
