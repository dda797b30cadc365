"""YAML texts become trees with places, within limits."""

import pytest

from dragoman.config.nodes import MAX_DEPTH, MAX_NODES, Fields, Items, Node, Scalar, TreeFault
from dragoman.config.yaml_text import read_yaml, scalar_value


def plain(node: Node | None) -> object:
    """The tree as Python values."""
    if isinstance(node, Fields):
        return {key: plain(value) for key, (_, value) in node.fields.items()}
    if isinstance(node, Items):
        return [plain(each) for each in node.items]
    assert isinstance(node, Scalar)
    return node.value


def fault(text: str) -> TreeFault:
    with pytest.raises(TreeFault) as caught:
        read_yaml(text)
    return caught.value


# What a real Envoy's config_dump shows for each scalar of node.metadata.
SEEN_AT_ENVOY = {
    "5": 5, "-3": -3, "+3": 3, "0x10": 16, "010": 8, "08": "08", "0o10": "0o10", "0": 0,
    "1_000": "1_000", "1:20": "1:20", "5000000000": "5000000000", "1.5": "1.5", "1e3": "1e3",
    ".inf": ".inf", "2020-01-01": "2020-01-01", "9" * 30: "9" * 30,
    "true": True, "True": True, "TRUE": True, "y": True, "Y": True, "on": True, "ON": True,
    "no": False, "Off": False, "yEs": "yEs", "tRUE": "tRUE",
    "null": None, "~": None, "Null": None, "nuLL": "nuLL",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SEEN_AT_ENVOY.items())
def test_scalars_are_read_as_envoy_reads_them(text: str, value: object) -> None:
    read = scalar_value(text)
    assert (type(read), read) == (type(value), value)


def test_quotes_and_tags_decide_what_is_text() -> None:
    tree, _ = read_yaml("""
a: "5"
b: '5'
c: ! 5
d: !!str 5
e: !other abc
f: "null"
g:
h: |
  5
i: !!binary aGk=
""")
    assert plain(tree) == {
        "a": "5", "b": "5", "c": "5", "d": 5, "e": "abc", "f": "null", "g": None, "h": "5\n",
        "i": "aGk=",
    }  # fmt: skip


def test_every_key_and_value_knows_its_place() -> None:
    tree, _ = read_yaml("a:\n  - bc: def\n")
    assert isinstance(tree, Fields)
    key, items = tree.fields["a"]
    assert (key.line, key.column, key.width) == (1, 1, 1)
    assert isinstance(items, Items)
    inner = items.items[0]
    assert isinstance(inner, Fields)
    inner_key, value = inner.fields["bc"]
    assert (inner_key.line, inner_key.column, inner_key.width) == (2, 5, 2)
    assert (value.line, value.column, value.width) == (2, 9, 3)


def test_columns_count_characters_not_bytes() -> None:
    tree, _ = read_yaml('{"ä": x, b: y}')
    assert isinstance(tree, Fields)
    assert tree.fields["b"][0].column == 10


def test_aliases_stand_for_what_they_name() -> None:
    tree, _ = read_yaml("a: &x {b: [1]}\nc: *x\nd: &y k\n*y : 2\n")
    assert plain(tree) == {"a": {"b": [1]}, "c": {"b": [1]}, "d": "k", "k": 2}


def test_a_duplicate_key_is_told_with_the_first_ones_line() -> None:
    tree, faults = read_yaml("a: 1\nb: 2\na: 3\n")
    assert plain(tree) == {"a": 3, "b": 2}
    assert [(f.code, f.line, f.column) for f in faults] == [("DG0101", 3, 1)]
    assert "line 1" in faults[0].help


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_no_content_is_no_tree(text: str) -> None:
    assert read_yaml(text) == (None, [])


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("a: [1,\n", "DG0002", 2, 1),
        ('a: "b\n', "DG0002", 2, 1),
        ("a:\n\tb: 1\n", "DG0002", 2, 1),
        ("a: *b\n", "DG0002", 1, 4),
        ("a: b\x01\n", "DG0002", 1, 5),
        ("{[a]: b}", "DG0109", 1, 2),
        ("a: &x [b, *x]\n", "DG0007", 1, 11),
        ("&x {a: *x}\n", "DG0007", 1, 8),
        ("a: 1\n---\nb: 2\n", "DG0008", 2, 1),
    ],
)
def test_what_cannot_be_a_tree(text: str, code: str, line: int, column: int) -> None:
    found = fault(text)
    assert (found.code, found.line, found.column) == (code, line, column)


@pytest.mark.parametrize(
    "text", ["a: 1\n---\n", "a: 1\n...\n", "---\na: 1\n", "%YAML 1.1\n---\na: 1"]
)
def test_marks_around_one_document_are_fine(text: str) -> None:
    assert plain(read_yaml(text)[0]) == {"a": 1}


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_depth_is_bounded(text: str) -> None:
    assert fault(text).code == "DG0005"


def test_the_deepest_allowed_nesting_is_read() -> None:
    tree, _ = read_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert isinstance(tree, Items)


def test_a_bomb_of_aliases_is_stopped_before_it_goes_off() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    assert fault("\n".join(lines)).code == "DG0006"


def test_the_number_of_values_is_bounded() -> None:
    assert fault("[" + "x," * (MAX_NODES + 1) + "]").code == "DG0006"
