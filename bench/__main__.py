"""Command line of the benchmark: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TypeVar

from bench import generator
from bench.compare import compare
from bench.errors import BenchError
from bench.figures import Results
from bench.machine import pick_cores, raise_descriptor_limit
from bench.measure import Bench, Settings
from bench.peers import PEERS, Peer
from bench.picture import draw
from bench.run import new_results, present, run_work, say
from bench.soak import soak, soak_table
from bench.table import whole, work_table
from bench.works import WORKS, Work

Named = TypeVar("Named", Work, Peer)

QUICK_WORKS = "h1,h1-16k,idle,start"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser("python -m bench", description=__doc__)
    default = Settings()
    options.add_argument("--works", help="comma-separated names (default: all; see --list)")
    options.add_argument("--peers", help="comma-separated names (default: all on this machine)")
    options.add_argument("--rounds", type=int, help=f"default {default.rounds}")
    options.add_argument("--seconds", type=float, help=f"per sample, default {default.seconds}")
    options.add_argument("--warm-up", type=float, help=f"seconds, default {default.warm_up}")
    options.add_argument("--idle-connections", type=int, help=f"default {default.idle_connections}")
    options.add_argument("--quick", action="store_true", help="one short round of few works")
    options.add_argument("--out", type=Path, metavar="JSON", help="where to store the results")
    options.add_argument("--picture", type=Path, metavar="SVG", help="where to draw them")
    options.add_argument(
        "--soak", type=int, metavar="N", help="send N checked requests through each peer instead"
    )
    options.add_argument("--list", action="store_true", help="names of works and peers")
    options.add_argument("--show", type=Path, metavar="JSON", help="print and draw stored results")
    options.add_argument(
        "--compare", type=Path, nargs=2, metavar=("OLD", "NEW"), help="before and after"
    )
    return options


def chosen(names: str | None, all_of: Sequence[Named]) -> list[Named]:
    """The named ones, in their usual order; raises `BenchError` for a name that is none."""
    if names is None or names == "all":
        return list(all_of)
    wanted = [name.strip() for name in names.split(",")]
    known = [one.name for one in all_of]
    for name in wanted:
        if name not in known:
            raise BenchError(f"unknown: {name}; there are {', '.join(known)}")
    return [one for one in all_of if one.name in wanted]


def settings(options: argparse.Namespace) -> Settings:
    """What is not given is short with --quick and the default without."""
    base = Settings(1, 1.0, 0.3, 500) if options.quick else Settings()
    return Settings(
        rounds=base.rounds if options.rounds is None else options.rounds,
        seconds=base.seconds if options.seconds is None else options.seconds,
        warm_up=base.warm_up if options.warm_up is None else options.warm_up,
        idle_connections=base.idle_connections
        if options.idle_connections is None
        else options.idle_connections,
    )


def load(path: Path) -> Results:
    """A stored run."""
    return Results.from_json(json.loads(path.read_text()))


def store(results: Results, out: Path | None, picture: Path | None) -> None:
    """Writes what was asked for; each after every work, so an interrupted run keeps the rest."""
    if out is not None:
        out.write_text(json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n")
    if picture is not None:
        picture.write_text(draw(results))


def prepare(options: argparse.Namespace) -> tuple[Bench, list[Peer]]:
    """The machine, the generator and the peers that are there."""
    peers = present(chosen(options.peers, PEERS))
    if not peers:
        raise BenchError("none of the peers is on this machine")
    raise_descriptor_limit()
    return Bench(pick_cores(), settings(options), generator.build()), peers


def soak_all(options: argparse.Namespace) -> int:
    """Soaks each peer; 1 when a request failed."""
    bench, peers = prepare(options)
    failed = False
    for peer in peers:
        parts = soak(bench, peer, options.soak)
        print(soak_table(peer, parts), flush=True)
        failed = failed or any(part.failures for part in parts)
    return int(failed)


def measure(options: argparse.Namespace) -> int:
    """Runs what was asked for; 1 when a peer failed or a request did."""
    works = chosen(options.works or (QUICK_WORKS if options.quick else None), WORKS)
    bench, peers = prepare(options)
    results = new_results(bench, peers)
    for work in works:
        result = run_work(bench, work, peers)
        results.works[work.name] = result
        say(work_table(work.name, result))
        store(results, options.out, options.picture)
    print(whole(results))
    return int(any(faulty(results)))


def faulty(results: Results) -> list[bool]:
    """Per work, whether a peer failed in it or a request did."""
    return [
        any(reason.startswith("failed") for reason in work.skipped.values())
        or any(one.get("failures") for many in work.samples.values() for one in many)
        for work in results.works.values()
    ]


def listing() -> str:
    """Names and titles."""
    works = [f"  {work.name:14} {work.title}" for work in WORKS]
    peers = [f"  {peer.name:14} {peer.title}" for peer in PEERS]
    return "\n".join(["works", *works, "peers", *peers])


def interrupt(number: int, frame: FrameType | None) -> None:
    """Ends the run: started programs are ended, files removed. A second signal can't stop that."""
    del number, frame
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Exit status: 0 fine, 1 something failed, 2 could not be done, 130 interrupted."""
    options = parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        if options.list:
            print(listing())
        elif options.compare:
            print(compare(*map(load, options.compare)))
        elif options.show:
            results = load(options.show)
            store(results, None, options.picture)
            print(whole(results))
        else:
            return soak_all(options) if options.soak else measure(options)
    except (BenchError, OSError) as error:
        say(f"bench: {error}")
        return 2
    except KeyboardInterrupt:
        say("bench: interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
