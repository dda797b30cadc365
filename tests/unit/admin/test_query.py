import pytest

from dragoman.admin.answer import RefusalError
from dragoman.admin.query import Query


def test_items_in_order_percent_decoded_and_plus_kept() -> None:
    assert Query("a=1&b&c=%2B+x&a=2&&=y").items == [
        ("a", "1"),
        ("b", ""),
        ("c", "++x"),
        ("a", "2"),
        ("", "y"),
    ]


def test_the_first_value_counts_and_an_empty_one_is_none() -> None:
    query = Query("a=1&a=2&b=")
    assert query.get("a") == "1"
    assert query.get("b") is None
    assert "b" in query
    assert "c" not in query


def test_patterns() -> None:
    found = Query("filter=a.%2Bb").pattern("filter")
    assert found is not None
    assert found.search("xa-b")
    assert not found.search("ab")
    assert Query("").pattern("filter") is None
    with pytest.raises(RefusalError) as refusal:
        Query("filter=(x").pattern("filter")
    assert refusal.value.answer.status == 400
    assert refusal.value.answer.body.startswith("Invalid re2 regex: unclosed group")
    assert refusal.value.answer.body.endswith(": (x")
