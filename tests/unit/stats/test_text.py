import pytest

from dragoman.stats import text
from dragoman.stats.selection import Selection

from . import support


def test_all_kinds_as_a_real_envoy_prints_them() -> None:
    assert text.render(support.metrics()) == support.read("stats.txt")


@pytest.mark.parametrize("mode", ["cumulative", "disjoint", "detailed", "summary"])
def test_histograms_in_each_bucket_mode(mode: str) -> None:
    histograms = Selection(kind="histogram").apply(support.metrics())
    assert text.render(histograms, mode) == support.read(f"{mode}.txt")


def test_none_is_another_name_of_summary() -> None:
    metrics = support.metrics()
    assert text.render(metrics, "none") == text.render(metrics, "summary")


def test_text_readouts_come_first_and_are_quoted() -> None:
    metrics = [
        support.Metric("a.counter", "counter", 3),
        support.Metric("z.version", "text", text="v1"),
    ]
    assert text.render(metrics) == 'z.version: "v1"\na.counter: 3\n'


def test_a_histogram_without_samples_says_so() -> None:
    metric = support.Metric("h", "histogram", histogram=support.empty_histogram())
    assert text.render([metric]) == "h: No recorded values\n"
    assert text.render([metric], "detailed") == "h: No recorded values\n"
