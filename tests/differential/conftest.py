"""Starts the chosen cases in the background and writes what came out as JSON.

The verdicts go to build/differential.json (or $DIFFERENTIAL_RESULTS), from which
scripts/compatibility.py makes docs/compatibility.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.differential.case import all_cases
from tests.differential.judge import Verdict
from tests.differential.pool import start_all
from tests.differential.proxy import CHECKOUT, find_dragoman, find_envoy
from tests.differential.run import compare
from tests.differential.stage import batches

RESULTS = Path(os.environ.get("DIFFERENTIAL_RESULTS", CHECKOUT / "build" / "differential.json"))


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Verdict]]]:
    """A future verdict for every case that this session has selected.

    Results are written only for a whole run, and not when Envoy stands on both sides (the suite
    checking itself).
    """
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == "test_case"
    }
    cases = [case for case in all_cases() if case.name in wanted]
    envoy, dragoman = find_envoy(), find_dragoman()
    futures = start_all(batches(cases), lambda batch: compare(batch, envoy, dragoman))
    yield futures
    if len(cases) == len(all_cases()) and envoy != dragoman:
        write_results([future.result() for future in futures.values() if future.done()])


def write_results(verdicts: list[Verdict]) -> None:
    """One entry per case: title, covers, outcome and the first lines of its text."""
    entries = {
        verdict.case.name: {
            "title": verdict.case.title,
            "covers": verdict.case.covers,
            "outcome": verdict.outcome,
            "text": " ".join(verdict.text.split())[:400] if verdict.outcome != "failed" else "",
        }
        for verdict in verdicts
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", "utf-8")
