"""From samples to medians, ratios, tables, pictures, and back from the file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from bench.compare import compare
from bench.errors import BenchError
from bench.figures import COLUMNS, Results, Spread, WorkResult
from bench.picture import draw
from bench.table import whole
from bench.works import WORKS, Kind


def samples(*costs: float, failures: float = 0.0) -> list[dict[str, float]]:
    """A round for each cost."""
    rest = dict.fromkeys((column.key for column in COLUMNS[Kind.REQUESTS]), 1.0)
    return [rest | {"cpu_us": cost, "failures": failures, "others_busy": 0.0} for cost in costs]


def results(**peers: list[dict[str, float]]) -> Results:
    """A run of one work."""
    run = Results(
        date="2026-01-02T03:04:05Z",
        machine={"cpu": "A & B <fast>", "cores": 2, "kernel": "6"},
        versions={"dragoman": "0.1.0", "haproxy": "2.6.12"},
        settings={"rounds": 3.0, "seconds": 4.0},
    )
    run.works["h1"] = WorkResult("HTTP/1.1", Kind.REQUESTS, peers, {"caddy": "not able"})
    return run


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    with pytest.raises(BenchError):
        Spread.of([])


def test_ratios_pair_rounds_not_medians() -> None:
    run = results(dragoman=samples(1.0, 20.0, 3.0), haproxy=samples(2.0, 10.0, 12.0))
    assert run.works["h1"].ratio("haproxy") == Spread(0.5, 0.25, 2.0)
    assert results(haproxy=samples(1.0)).works["h1"].ratio("haproxy") is None


def test_the_file_gives_the_run_back() -> None:
    run = results(dragoman=samples(1.0, 2.0), haproxy=samples(4.0, 4.0))
    told = json.loads(json.dumps(run.to_json()))
    assert Results.from_json(told) == run
    figures = told["works"]["h1"]["peers"]["haproxy"]["figures"]
    assert figures["cpu_us"] == {"median": 4.0, "min": 4.0, "max": 4.0}
    assert figures["dragoman_ratio"] == {"median": 0.375, "min": 0.25, "max": 0.5}
    with pytest.raises(BenchError, match="format"):
        Results.from_json(told | {"format": 0})


def test_one_failed_request_in_one_round_shows_in_the_table() -> None:
    text = whole(results(haproxy=[*samples(1.0), *samples(1.0, failures=7.0), *samples(1.0)]))
    row = next(line for line in text.splitlines() if line.lstrip().startswith("haproxy "))
    assert row.split()[-1] == "7"
    assert "caddy: not able" in text


def test_compare_tells_change_from_noise() -> None:
    old = results(dragoman=samples(10.0, 11.0, 12.0), haproxy=samples(20.0, 20.0, 20.0))
    new = results(dragoman=samples(5.0, 5.5, 6.0), haproxy=samples(19.0, 21.0, 20.5))
    lines = [line.split() for line in compare(old, new).splitlines()]
    ours = next(line for line in lines if "dragoman" in line)
    theirs = next(line for line in lines if "haproxy" in line)
    assert ours[-6:] == ["5.50", "-50.0%", "less", "0.55", "→", "0.26"]
    assert theirs[-2:] == ["+2.5%", "same"]


def test_the_picture_is_well_formed_and_names_every_peer() -> None:
    picture = draw(results(dragoman=samples(1.0, 2.0), haproxy=samples(4.0, 4.0)))
    words = {element.text for element in ElementTree.fromstring(picture).iter()}
    assert {"Dragoman", "HAProxy", "HTTP/1.1"} <= words
    assert any(word and "A & B <fast>" in word for word in words)


def test_names_of_works_are_unique() -> None:
    assert len({work.name for work in WORKS}) == len(WORKS)
