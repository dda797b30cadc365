import json

import pytest

from dragoman.stats import json_format
from dragoman.stats.selection import Selection

from . import support


def test_all_kinds_as_a_real_envoy_prints_them() -> None:
    assert json_format.render(support.metrics()) == support.read("stats.json")


@pytest.mark.parametrize("mode", ["cumulative", "detailed", "summary"])
def test_histograms_in_each_bucket_mode(mode: str) -> None:
    histograms = Selection(kind="histogram").apply(support.metrics())
    assert json_format.render(histograms, mode) == support.read(f"{mode}.json")


def test_disjoint_counts_add_up_to_the_cumulative_ones() -> None:
    histograms = Selection(kind="histogram").apply(support.metrics())
    rows = json.loads(json_format.render(histograms, "disjoint"))["stats"][0]["histograms"]
    for row, metric in zip(rows, histograms, strict=True):
        assert metric.histogram is not None
        total = sum(bucket["cumulative"] for bucket in row["buckets"])
        assert total == metric.histogram.cumulative_count


def test_nothing_chosen_is_an_empty_list() -> None:
    assert json_format.render([]) == '{"stats":[]}'


def test_names_and_texts_are_escaped() -> None:
    metric = support.Metric('a"b', "text", text='say "hi"\n')
    assert json.loads(json_format.render([metric])) == {
        "stats": [{"name": 'a"b', "value": 'say "hi"\n'}]
    }
