"""The answers' bodies are tested with the formats; here: which format, which errors."""

import json

import pytest

from tests.unit.admin.fakes import Engine, Proxy, get
from tests.unit.stats import support


def proxy() -> Proxy:
    return Proxy(engine=Engine(metrics=support.metrics()), stats_tags=(("zone", "eu"),))


@pytest.mark.parametrize("target", ["/stats", "/stats?format=text", "/stats?format=&filter="])
def test_text(target: str) -> None:
    answer = get(proxy(), target)
    assert answer.body == support.read("stats.txt")
    assert answer.content_type == "text/plain; charset=UTF-8"


def test_json() -> None:
    answer = get(proxy(), "/stats?format=json")
    assert answer.body == support.read("stats.json")
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("target", ["/stats/prometheus", "/stats?format=prometheus&type=Gauges"])
def test_prometheus(target: str) -> None:
    assert get(proxy(), target).body == support.read("prometheus.txt")


@pytest.mark.parametrize("mode", ["cumulative", "disjoint", "detailed", "summary"])
def test_histogram_buckets(mode: str) -> None:
    target = f"/stats?type=Histograms&histogram_buckets={mode}"
    assert get(proxy(), target).body == support.read(f"{mode}.txt")


def test_used_only_by_presence_not_value() -> None:
    assert get(proxy(), "/stats?usedonly=false").body == support.read("usedonly.txt")


def test_filters() -> None:
    body = get(proxy(), "/stats?filter=^listener_manager.workers&type=Gauges").body
    assert body == ("listener_manager.workers_pinned: 0\nlistener_manager.workers_started: 1\n")
    inverted = get(proxy(), "/stats?filter=manager&invert_filter&format=json")
    names = [item.get("name", "") for item in json.loads(inverted.body)["stats"]]
    assert names
    assert not any("manager" in name for name in names)


def test_values_computed_on_demand_are_refreshed_first() -> None:
    asked = proxy()
    get(asked, "/stats?filter=server")
    assert asked.refreshed == 1


def test_html_shows_the_text_escaped_and_keeps_the_parameters() -> None:
    asked = proxy()
    asked.engine.metrics = [support.Metric("a<b", "counter", 1)]
    answer = get(asked, "/stats?format=html&filter=%22a%3C&usedonly&type=Counters")
    assert answer.content_type == "text/html; charset=UTF-8"
    assert 'value="&quot;a&lt;"' in answer.body
    assert "<option selected>Counters</option>" in answer.body
    assert 'name="usedonly" checked' in answer.body
    assert "a<b" not in get(asked, "/stats?format=html").body
    assert "a&lt;b: 1" in get(asked, "/stats?format=html").body


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/stats?type=foo", "invalid &type= param"),
        ("/stats?type=histograms", "invalid &type= param"),
        ("/stats?format=foo", "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
        (
            "/stats?histogram_buckets=foo",
            "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n",
        ),
        (
            "/stats/prometheus?histogram_buckets=disjoint",
            "unsupported prometheus histogram bucket mode",
        ),
    ],
)
def test_wrong_parameters(target: str, body: str) -> None:
    answer = get(proxy(), target)
    assert (answer.status, answer.body) == (400, body)


@pytest.mark.parametrize("path", ["/stats", "/stats/prometheus"])
def test_a_wrong_filter(path: str) -> None:
    answer = get(proxy(), f"{path}?filter=(x")
    assert answer.status == 400
    assert answer.body.startswith("Invalid re2 regex: unclosed group")
