"""From paths back to places, over several merged sources."""

import pytest

from dragoman.config.positions import Positions
from dragoman.config.source import inline_source

FIRST = """\
static_resources:
  clusters:
  - name: a
    connectTimeout: 1s
  - name: b
    typed_extension_protocol_options:
      x.y.Z: {"@type": q, k: 1}
admin: {access_log_path: x}
"""
SECOND = """\
static_resources:
  clusters:
  - name: c
  listeners: {name: l}
admin:
  profile_path: y
"""


def sources(*texts: str) -> Positions:
    read = []
    for number, text in enumerate(texts):
        source, faults = inline_source(text)
        assert faults == []
        source.name = str(number)
        read.append(source)
    return Positions(read)


BOTH = sources(FIRST, SECOND)


@pytest.mark.parametrize(
    ("path", "file", "line", "column"),
    [
        ("static_resources.clusters[0].name", "0", 3, 5),
        ("static_resources.clusters[0].connect_timeout", "0", 4, 5),
        ("static_resources.clusters[1]", "0", 5, 5),
        ("static_resources.clusters[2].name", "1", 3, 5),
        ("static_resources.clusters[9].name", "1", 2, 3),
        ("static_resources.listeners[0].name", "1", 4, 15),
        ('static_resources.clusters[1].typed_extension_protocol_options["x.y.Z"].k', "0", 7, 27),
        ("static_resources.clusters[1].typed_extension_protocol_options[x.y.Z].k", "0", 7, 27),
        ("admin.access_log_path", "0", 8, 9),
        ("admin.profile_path", "1", 6, 3),
        ("admin", "1", 5, 1),
        ("admin.address.pipe.path", "1", 5, 1),
        ("node.id", "0", 1, 1),
        ("", "0", 1, 1),
        ("]][[..", "0", 1, 1),
    ],
)
def test_the_key_or_the_nearest_thing_around_it(
    path: str, file: str, line: int, column: int
) -> None:
    place = BOTH.locate(path)
    assert (place.file, place.line, place.column) == (file, line, column)


def test_the_value_of_a_single_value() -> None:
    place = BOTH.locate("static_resources.clusters[0].connect_timeout", at_value=True)
    assert (place.line, place.column, place.width) == (4, 21, 2)
    # a mapping has no place of its own worth showing, and what is missing has none at all
    assert BOTH.locate("admin", at_value=True).column == 1
    assert BOTH.locate("admin.address", at_value=True).column == 1


def test_a_typed_struct_is_looked_through() -> None:
    places = sources("a: {'@type': t/xds.type.v3.TypedStruct, value: {b: {c: 1}}}")
    assert places.locate("a.b.c").column == 53
    assert places.locate("a.value.b").column == 49


def test_null_lists_count_nothing() -> None:
    places = sources("a:\n  b: null\n", "a:\n  b: [x]\n")
    assert places.locate("a.b[0]") == ("1", 2, 7, 1)


def test_without_a_tree_there_is_only_the_file() -> None:
    source, _ = inline_source("")
    assert str(Positions([source]).locate("a")) == "<config-yaml>"


def test_diagnostics_carry_the_line_unless_it_may_be_secret() -> None:
    places = sources("a: {b: 1}\nprivate_key: hunter2\n")
    assert places.diagnostic("DG0301", "x", "a.b").excerpt == "a: {b: 1}"
    assert places.diagnostic("DG0301", "x", "private_key").excerpt == ""
