"""The front door: all faults in one run, overlays, formats, and hostile files."""

from pathlib import Path

import pytest

from dragoman.config import load_bootstrap
from dragoman.config.source import INLINE
from tests.unit.config.conftest import Load, codes, places
from tests.unit.config.texts import bootstrap, static


def test_a_good_configuration(load: Load) -> None:
    loaded = load(bootstrap())
    assert (loaded.ok, loaded.diagnostics) == (True, [])
    assert loaded.bootstrap.static_resources.clusters[0].name == "c"


def test_all_faults_in_one_run_sorted_by_place(load: Load) -> None:
    text = """\
static_resources:
  clusters:
  - name: a
    conect_timeout: 1s
    lb_policy: NOPE
  - name: a
    type: EDS
    connect_timeout: 0s
  listeners:
  - name: l
    filter_chains: []
admin: {address: 5}
"""
    assert places(load(text)) == [
        ("DG0102", 4, 5), ("DG0105", 5, 16), ("DG0401", 6, 11), ("DG0302", 7, 11),
        ("DG0202", 8, 22), ("DG0201", 10, 5), ("DG0407", 10, 5), ("DG0103", 12, 18),
    ]  # fmt: skip


def test_what_could_not_be_read_is_not_also_missing(load: Load) -> None:
    assert codes(load(bootstrap(more="stats_flush_interval: soon"))) == ["DG0104"]
    assert codes(load("static_resources: {clusters: [{name: [x]}]}")) == ["DG0103"]


def test_no_configuration_at_all() -> None:
    assert codes(load_bootstrap(None, None)) == ["DG0010"]
    assert codes(load_bootstrap("", "")) == ["DG0010"]


def test_inline_text_alone() -> None:
    loaded = load_bootstrap(None, "node: {id: x}")
    assert (loaded.ok, loaded.bootstrap.node.id) == (True, "x")


def test_inline_text_is_merged_as_protobuf_merges(load: Load) -> None:
    overlay = (
        f"static_resources: {{clusters: [{static().replace('name: c', 'name: d')}]}}\n"
        "node: {id: w}\n"
    )
    loaded = load(bootstrap(more="node: {id: x, cluster: v}"), overlay=overlay)
    assert loaded.diagnostics == []
    assert [c.name for c in loaded.bootstrap.static_resources.clusters] == ["c", "d"]
    assert (loaded.bootstrap.node.id, loaded.bootstrap.node.cluster) == ("w", "v")


def test_faults_point_into_the_right_source(load: Load) -> None:
    overlay = "static_resources:\n  clusters:\n  - name: c\n"
    loaded = load(bootstrap(), overlay=overlay)
    (fault,) = loaded.diagnostics
    assert (fault.code, fault.position) == ("DG0401", (INLINE, 3, 11, 1))
    assert fault.excerpt == "  - name: c"


def test_unknown_fields_as_asked(load: Load) -> None:
    text = bootstrap(more="nope: 1")
    assert codes(load(text)) == ["DG0102"]
    loaded = load(text, allow_unknown_fields=True)
    assert (loaded.ok, codes(loaded)) == (True, ["DG0503"])


def test_json_and_other_extensions(load: Load) -> None:
    assert load('{"node": {"id": "x"}}', "json").ok
    assert load('{"node": {"id": "x"}}', "conf").ok
    assert codes(load("node: {id: x}", "json")) == ["DG0002"]


HOSTILE = {
    "empty": ("", "yaml", "DG0009"),
    "truncated": (bootstrap()[:100], "yaml", "DG0002"),
    "random bytes": (bytes(range(256)) * 20, "yaml", "DG0003"),
    "random bytes as JSON": (bytes(range(256)) * 20, "json", "DG0003"),
    "random bytes as protobuf": (bytes(range(255, 0, -1)), "pb", "DG0011"),
    "zero bytes": (b"\0\0\0\0", "yaml", "DG0002"),
    "cycle": ("node: &a {metadata: {x: *a}}", "yaml", "DG0007"),
    "second document": ("node: {id: x}\n---\nnode: {id: w}\n", "yaml", "DG0008"),
    "deep": ("node: {metadata: " + "{a: " * 100_000, "yaml", "DG0005"),
    "deep as JSON": ('{"node":' * 100_000, "json", "DG0005"),
    "deep for protobuf": ("node: {metadata: " + "{a: " * 100 + "1" + "}" * 101, "yaml", "DG0005"),
    "deep as text": ("node { metadata { fields { value { " * 3000, "pb_text", "DG0002"),
    "long number": ("stats_flush_interval: " + "1" * 100_000, "yaml", "DG0104"),
    "huge number": ('{"stats_flush_interval": 1e99999}', "json", "DG0103"),
    "python tag": ("!!python/object/apply:os.system [ls]", "yaml", "DG0103"),
    "a list": ("[a]", "yaml", "DG0103"),
    "a word": ("word", "yaml", "DG0103"),
    "complex key": ("{{a: b}: c}", "yaml", "DG0109"),
    "half a surrogate": ('{"node": {"id": "\\ud800"}}', "json", "DG0002"),
    "half a surrogate in YAML": ('node: {id: "\\ud800"}', "yaml", "DG0002"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_one_clear_code(load: Load, name: str) -> None:
    text, extension, code = HOSTILE[name]
    assert codes(load(text, extension)) == [code]


def test_no_prefix_of_a_configuration_raises(load: Load) -> None:
    text = bootstrap(more="admin: {access_log_path: /dev/null}")
    for end in range(0, len(text), 7):
        load(text[:end])


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "missing.yaml"), "a\0b"):
        assert codes(load_bootstrap(path, None)) == ["DG0001"]
    assert codes(load_bootstrap("/dev/zero", None)) == ["DG0004"]


def test_a_link_to_itself(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    assert codes(load_bootstrap(str(loop), None)) == ["DG0001"]
