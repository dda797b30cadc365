"""Message types at run time: found by name, loaded only when needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.config.messages import BOOTSTRAP, Types, is_map, type_name, types

ROOT = Path(__file__).resolve().parents[3]


def test_only_what_is_needed_is_loaded() -> None:
    fresh = Types()
    fresh.new(BOOTSTRAP)
    few = len(fresh._added)
    assert 20 < few < 150
    assert len(fresh.names()) > 1000
    assert len(fresh._added) > 500


@pytest.mark.parametrize(
    "name",
    [
        "envoy.extensions.filters.http.router.v3.Router",
        "envoy.config.route.v3.RouteAction.HashPolicy.Header",
        "google.protobuf.Struct",
        "xds.type.matcher.v3.Matcher",
        "google.rpc.Status",
        "opentelemetry.proto.common.v1.AnyValue",
    ],
)
def test_types_are_found_by_name(name: str) -> None:
    descriptor = types().find(name)
    assert descriptor.full_name == name
    assert types().new(name).SerializeToString() == b""


@pytest.mark.parametrize("name", ["", "x", "envoy.Nope", "envoy.config.route.v3.Nope", "..", "A.B"])
def test_unknown_types(name: str) -> None:
    assert types().find(name) is None
    with pytest.raises(KeyError):
        types().new(name)


def test_declarations_know_envoys_options() -> None:
    known = Types()
    cluster = known.find("envoy.config.cluster.v3.Cluster")
    rules = known.extension("validate.rules")
    (field,) = [f for f in known.declaration(cluster).field if f.name == "name"]
    assert field.options.Extensions[rules].string.min_len == 1
    nested = known.find("envoy.config.cluster.v3.Cluster.CommonLbConfig")
    assert known.declaration(nested).name == "CommonLbConfig"
    known.forget_declarations()
    assert known._parsed == {}


def test_maps_are_told_from_lists_of_messages() -> None:
    """Compared with protobuf's own mark on every field of every message."""
    maps = 0
    waiting = [types().find(name) for name in types().names()]
    while waiting:
        descriptor = waiting.pop()
        waiting.extend(descriptor.nested_types)
        for field in descriptor.fields:
            entry = field.message_type
            expected = entry is not None and bool(entry.GetOptions().map_entry)
            assert is_map(field) == expected, field.full_name
            maps += expected
    assert maps > 50


def test_the_type_of_a_url() -> None:
    assert type_name("type.googleapis.com/a.b.C") == "a.b.C"
    assert type_name("a.b.C") == "a.b.C"


def test_the_committed_descriptors_belong_to_the_locked_version() -> None:
    command = [sys.executable, str(ROOT / "scripts/descriptors.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
