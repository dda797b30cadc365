"""A run: every work, round by round, the peers in turn within each round, so that drift of the
machine meets all of them alike.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench.errors import BenchError
from bench.figures import Results, WorkResult
from bench.machine import facts
from bench.measure import MEASURES, Bench
from bench.peers import Peer
from bench.works import Work


def say(text: str) -> None:
    """Progress goes to stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def present(peers: Sequence[Peer]) -> list[Peer]:
    """The peers that this machine has; says which it has not."""
    there = []
    for peer in peers:
        if peer.program() is None:
            say(f"skipped: {peer.title} is not on this machine")
        else:
            there.append(peer)
    return there


def new_results(bench: Bench, peers: Sequence[Peer]) -> Results:
    """Results without works yet."""
    now = datetime.datetime.now(datetime.UTC)
    return Results(
        date=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=facts(),
        versions={peer.name: peer.version() for peer in peers},
        settings=asdict(bench.settings),
    )


def run_work(bench: Bench, work: Work, peers: Sequence[Peer]) -> WorkResult:
    """All rounds of a work. A peer that fails once is out of this work, and the result says why."""
    result = WorkResult(work.title, work.kind)
    able = []
    for peer in peers:
        reason = peer.refusal(work.site)
        if reason is None:
            able.append(peer)
        else:
            result.skipped[peer.name] = reason
    for turn in range(bench.settings.rounds):
        # Another one begins each round: none is always measured on the coolest machine.
        shift = turn % max(1, len(able))
        for peer in able[shift:] + able[:shift]:
            if peer.name not in result.skipped:
                _sample(bench, work, peer, result)
        say(f"{work.name}: round {turn + 1} of {bench.settings.rounds}")
    order = [peer.name for peer in able]
    result.samples = {name: result.samples[name] for name in order if name in result.samples}
    return result


def _sample(bench: Bench, work: Work, peer: Peer, result: WorkResult) -> None:
    try:
        sample = MEASURES[work.kind](bench, work, peer)
    except BenchError as error:
        say(f"{work.name}: {peer.title} failed: {error}")
        result.skipped[peer.name] = f"failed: {error}"
        result.samples.pop(peer.name, None)
        return
    result.samples.setdefault(peer.name, []).append(sample)
