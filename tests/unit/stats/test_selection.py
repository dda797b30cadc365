from dragoman._core import Regex
from dragoman.stats import text
from dragoman.stats.selection import TYPES, Selection

from . import support

METRICS = [
    support.Metric("a.count", "counter"),
    support.Metric("b.level", "gauge", used=False),
    support.Metric("b.time", "histogram", histogram=support.empty_histogram()),
    support.Metric("c.text", "text"),
]


def names(selection: Selection) -> list[str]:
    return [metric.name for metric in selection.apply(METRICS)]


def test_the_default_takes_all() -> None:
    assert names(Selection()) == ["a.count", "b.level", "b.time", "c.text"]


def test_the_pattern_is_searched_for_anywhere() -> None:
    assert names(Selection(pattern=Regex("t"))) == ["a.count", "b.time", "c.text"]
    assert names(Selection(pattern=Regex("^b"))) == ["b.level", "b.time"]


def test_inverted_pattern() -> None:
    assert names(Selection(pattern=Regex("^b"), invert=True)) == ["a.count", "c.text"]


def test_inverting_no_pattern_takes_all() -> None:
    assert len(names(Selection(invert=True))) == len(METRICS)


def test_each_type_takes_its_kind() -> None:
    taken = {name: names(Selection(kind=kind)) for name, kind in TYPES.items()}
    assert taken == {
        "All": ["a.count", "b.level", "b.time", "c.text"],
        "Counters": ["a.count"],
        "Gauges": ["b.level"],
        "Histograms": ["b.time"],
        "TextReadouts": ["c.text"],
    }


def test_used_only_as_a_real_envoy() -> None:
    chosen = Selection(used_only=True).apply(support.metrics())
    assert text.render(chosen) == support.read("usedonly.txt")


def test_a_hostile_pattern_takes_linear_time() -> None:
    hostile = Selection(pattern=Regex("(a*)*(a*)*(a*)*(a*)*$"))
    metric = support.Metric("a" * 5000 + "!", "counter")
    assert hostile.apply([metric]) == [metric]
    assert Selection(pattern=Regex("^(a*)*(a|a)*b$")).apply([metric]) == []
