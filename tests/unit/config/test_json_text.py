"""JSON texts become trees with places; leniencies are Envoy's."""

import json

import pytest

from dragoman.config.json_text import read_json
from dragoman.config.nodes import MAX_DEPTH, Fields, Items, TreeFault
from tests.unit.config.test_yaml_text import plain


def fault(text: str) -> TreeFault:
    with pytest.raises(TreeFault) as caught:
        read_json(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", "[[], {}]", '{"a": {"b": [1, -2, 3.5, 1e3, true, false, null]}}',
        r'"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"', ' \t\r\n{"a"\n:\n1}\n', "5", '""', '"ä"',
        "123456789012345678901234567890",
    ],
)  # fmt: skip
def test_reads_what_json_reads(text: str) -> None:
    assert plain(read_json(text)[0]) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: 1,}", {"a": 1}),
        ("[1, 2,]", [1, 2]),
        ("{'a': 'b\"c'}", {"a": 'b"c'}),
        ('{"a": "x\ty\nz\x01"}', {"a": "x\ty\nz\x01"}),
    ],
)
def test_reads_what_envoy_reads_besides(text: str, value: object) -> None:
    assert plain(read_json(text)[0]) == value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{", 1, 2),
        ('{"a"}', 1, 5),
        ('{"a": }', 1, 7),
        ('{"a": 1 "b": 2}', 1, 9),
        ("[1 2]", 1, 4),
        ('{"a": 1}\n x', 2, 2),
        ('{"a": 05}', 1, 7),
        ('{"a": 0x10}', 1, 7),
        ('{"a": NaN}', 1, 7),
        ('{"a":\n "b', 2, 2),
        ('{"a": /* no */ 1}', 1, 7),
        (r'{"a": "\x41"}', 1, 7),
        (r'{"a": "\ud83d"}', 1, 7),
        ("[,]", 1, 2),
        ("]", 1, 1),
    ],
)
def test_what_is_not_json(text: str, line: int, column: int) -> None:
    found = fault(text)
    assert (found.code, found.line, found.column) == ("DG0002", line, column)


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_content_is_no_tree(text: str) -> None:
    assert read_json(text) == (None, [])


def test_every_key_and_value_knows_its_place() -> None:
    tree, _ = read_json('{\n  "ab": [12,\n {"c": "d"}]}')
    assert isinstance(tree, Fields)
    key, items = tree.fields["ab"]
    assert (key.line, key.column, key.width) == (2, 3, 4)
    assert isinstance(items, Items)
    number, inner = items.items
    assert (number.line, number.column) == (2, 10)
    assert isinstance(inner, Fields)
    assert (inner.fields["c"][1].line, inner.fields["c"][1].column) == (3, 8)


def test_a_duplicate_key_is_told() -> None:
    _, faults = read_json('{"a": 1,\n "a": 2}')
    assert [(f.code, f.line, f.column) for f in faults] == [("DG0101", 2, 2)]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded_without_recursion(opening: str) -> None:
    assert fault(opening * 100_000).code == "DG0005"
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)[0] is not None


@pytest.mark.parametrize(
    "text", ['{"a": "' + "\\" * 300_000, '{"a": "' + "x" * 300_000, " " * 300_000 + "x"]
)
def test_an_unclosed_text_costs_no_more_than_its_length(text: str) -> None:
    assert fault(text).code == "DG0002"
