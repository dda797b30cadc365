"""The cheap guard: instructions a request, counted, not timed. `python -m bench.instructions`.

One worker serves a fixed series of requests (`bench/replay`) under callgrind; what a request costs
is the difference of two runs of different length. The same program gives the same figures whatever
else the machine does, to a few in ten thousand. `budget.json` holds what is allowed; 5 % more
fails. What the kernel does isn't in the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import BenchError
from bench.machine import free_port
from bench.peers.envoy import bootstrap
from bench.site import Place, Site
from dragoman.config import load_bootstrap

BUDGET = Path(__file__).parent / "budget.json"
#: How much more than the budget is still let through.
TOLERANCE = 0.05
REQUESTS = (1000, 3000)
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Replay:
    """A series of requests: `headers` fields each way, answers of `response_bytes`.

    http2: the client speaks it, by prior knowledge; so does the origin where the site says `grpc`.
    """

    name: str
    site: Site = field(default_factory=Site)
    headers: int = 0
    response_bytes: int = 128
    http2: bool = False


REPLAYS = (
    Replay("h1"),
    Replay("h1-16k", response_bytes=16 << 10),
    Replay("headers", headers=20),
    Replay("hosts-100", site=Site(hosts=100)),
    Replay("routes-100", site=Site(routes=100)),
    Replay("log", site=Site(access_log=True)),
    Replay("h2c", http2=True),
    Replay("h2-both", site=Site(grpc=True), http2=True),
)


def build() -> Path:
    """Builds the replay and gives the program. Raises BenchError."""
    command = ["cargo", "build", "--release", "--locked", "--package", "dragoman-bench-replay"]
    command.append("--message-format=json-render-diagnostics")
    built = subprocess.run(
        command, cwd=BUDGET.parent, stdout=subprocess.PIPE, text=True, check=False
    )
    programs = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    found = [Path(program) for program in programs if program]
    if built.returncode != 0 or not found:
        raise BenchError("the replay does not build (bench/replay)")
    return found[-1]


def busiest(folder: Path) -> int:
    """Instructions of the thread that had most: the worker. The files are callgrind's, one each."""
    totals = [_SUMMARY.search(path.read_text()) for path in folder.glob("out-*")]
    return max(int(total[1]) for total in totals if total)


def count(program: Path, replay: Replay) -> int:
    """Instructions that a request of this replay costs the worker."""
    with TemporaryDirectory(prefix="replay-") as name:
        folder = Path(name)
        place = Place(free_port(), free_port(), 0, folder)
        loaded = load_bootstrap(None, json.dumps(bootstrap(replay.site, place))).require()
        rows = [f"{one.kind} {one.name} {one.payload.hex()}\n" for one in loaded.resources()]
        (folder / "resources").write_text("".join(rows))
        targets = [f"{host} {path}\n" for host, path in replay.site.targets()]
        (folder / "targets").write_text("".join(targets))
        few, many = (run(program, replay, place, requests) for requests in REQUESTS)
    return round((many - few) / (REQUESTS[1] - REQUESTS[0]))


def run(program: Path, replay: Replay, place: Place, requests: int) -> int:
    """One run under callgrind; gives the worker's instructions. Raises BenchError."""
    with TemporaryDirectory(prefix="callgrind-") as name:
        folder = Path(name)
        command = [
            *("valgrind", "--tool=callgrind", "--separate-threads=yes"),
            *(f"--callgrind-out-file={folder / 'out'}", str(program)),
            *(str(place.folder / "resources"), str(place.folder / "targets")),
            *(str(place.listen), str(place.origin), str(requests)),
            *(str(replay.headers), str(replay.response_bytes)),
            *("2" if replay.http2 else "1", "2" if replay.site.grpc else "1"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise BenchError(f"{replay.name}: the replay failed\n{done.stderr[-2000:]}")
        return busiest(folder)


def judge(counted: dict[str, int], budget: dict[str, int]) -> tuple[list[str], bool]:
    """Rows to print, and whether all is within the budget."""
    rows, fine = [], True
    for name, now in counted.items():
        allowed = budget.get(name)
        if allowed is None:
            rows.append(f"{name:12} {now:8,}  not in the budget")
            fine = False
            continue
        over = now > allowed * (1 + TOLERANCE)
        fine = fine and not over
        change = (now / allowed - 1) * 100
        rows.append(
            f"{name:12} {now:8,}  budget {allowed:8,}  {change:+.1f} %{'  TOO MUCH' * over}"
        )
    return rows, fine


def main() -> int:
    """Exit status: 0 within the budget, 1 over it, 2 could not be done."""
    options = argparse.ArgumentParser("python -m bench.instructions", description=__doc__)
    options.add_argument(
        "--update", action="store_true", help="write what was counted as the budget"
    )
    given = options.parse_args()
    try:
        if shutil.which("valgrind") is None:
            raise BenchError("there is no valgrind here (Debian's package valgrind)")
        program = build()
        counted = {replay.name: count(program, replay) for replay in REPLAYS}
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench.instructions: {error}", file=sys.stderr)
        return 2
    budget: dict[str, int] = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    rows, fine = judge(counted, budget)
    print("instructions a request, user space, one worker", *rows, sep="\n")
    if given.update:
        BUDGET.write_text(json.dumps(counted, indent=1) + "\n")
        return 0
    if not fine:
        print("find what costs more, or say why and run with --update", file=sys.stderr)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
