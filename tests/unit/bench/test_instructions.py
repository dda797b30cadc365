"""The instruction guard's arithmetic; the counting itself needs valgrind and is CI's."""

from __future__ import annotations

import json
from pathlib import Path

from bench.instructions import BUDGET, REPLAYS, busiest, judge


def test_the_worker_is_the_busiest_thread(tmp_path: Path) -> None:
    for thread, total in (("01", 50), ("02", 7), ("04", 900)):
        (tmp_path / f"out-{thread}").write_text(f"events: Ir\nsummary: {total}\ntotals: {total}\n")
    (tmp_path / "out").write_text("events: Ir\n")
    assert busiest(tmp_path) == 900


def test_five_per_cent_more_are_let_through() -> None:
    rows, fine = judge({"h1": 1049, "log": 900}, {"h1": 1000, "log": 1000})
    assert fine
    assert "+4.9 %" in rows[0]
    assert "-10.0 %" in rows[1]


def test_more_is_too_much() -> None:
    rows, fine = judge({"h1": 1051}, {"h1": 1000})
    assert not fine
    assert "TOO MUCH" in rows[0]


def test_what_has_no_budget_fails() -> None:
    assert not judge({"new": 1}, {})[1]


def test_every_replay_has_a_budget() -> None:
    assert set(json.loads(BUDGET.read_text())) == {replay.name for replay in REPLAYS}
