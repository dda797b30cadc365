"""The builder keeps its limits whoever feeds it."""

import pytest

from dragoman.config.nodes import MAX_DEPTH, MAX_NODES, Builder, Fields, Items, Scalar, TreeFault


def test_values_land_in_the_innermost_container() -> None:
    builder = Builder()
    root = Fields(1, 1)
    builder.open(root)
    assert builder.wants_key
    builder.key(Scalar("a", 1, 2))
    assert not builder.wants_key
    builder.open(Items(1, 3))
    builder.add(Scalar(1, 1, 4))
    builder.close()
    assert builder.wants_key
    builder.close()
    assert builder.root is root
    items = root.fields["a"][1]
    assert isinstance(items, Items)
    assert len(items.items) == 1


def test_depth_and_number_are_bounded() -> None:
    builder = Builder()
    for _ in range(MAX_DEPTH):
        builder.open(Items(1, 1))
    with pytest.raises(TreeFault, match="deeper"):
        builder.open(Items(1, 1))
    builder.spend(MAX_NODES - builder.count, 1, 1)
    with pytest.raises(TreeFault, match="values"):
        builder.add(Scalar(None, 7, 9))
