import json

from tests.unit.admin.fakes import Engine, Proxy, get
from tests.unit.stats import support


def proxy() -> Proxy:
    return Proxy(Engine(metrics=support.metrics()))


def test_routes_and_endpoints_only() -> None:
    answer = get(proxy(), "/dragoman/percentiles?format=json")
    page = json.loads(answer.body)
    assert page["percentiles"] == [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]
    names = [row["name"] for row in page["histograms"]]
    assert "vhost.v.route.rt.upstream_rq_time" in names
    assert all(name.startswith("vhost.") for name in names)
    row = next(r for r in page["histograms"] if r["name"] == "vhost.v.route.rt.upstream_rq_time")
    assert row["subject"] == "route"
    assert row["unit"] == "ms"
    assert len(row["cumulative"]["values"]) == 10
    assert row["cumulative"]["count"] > 0


def test_endpoints_have_a_subject_of_their_own() -> None:
    histogram = support.empty_histogram()
    names = ["cluster.a.endpoint.127.0.0.1_80.upstream_rq_time", "cluster.a.upstream_rq_time"]
    metrics = [support.Metric(name, "histogram", histogram=histogram) for name in names]
    answer = get(Proxy(Engine(metrics=metrics)), "/dragoman/percentiles?format=json")
    rows = [(row["name"], row["subject"]) for row in json.loads(answer.body)["histograms"]]
    assert rows == [(names[0], "endpoint")]


def test_filter() -> None:
    page = json.loads(get(proxy(), "/dragoman/percentiles?format=json&filter=vcluster").body)
    assert page["histograms"]
    assert all("vcluster" in row["name"] for row in page["histograms"])


def test_text_is_an_aligned_table_of_what_was_recorded() -> None:
    head, *rows = get(proxy(), "/dragoman/percentiles").body.splitlines()
    assert head.split()[:4] == ["name", "unit", "count", "P0"]
    assert head.split()[-1] == "P100"
    assert rows
    assert {len(row) for row in rows} == {len(head)}
