"""`python -m tests.differential run CASE…` shows everything; `list` names the cases.

`record` runs only the real Envoy and prints what it did: the way to write a new case.
"""

# ruff: noqa: T201  (printing is what a command line is for)
from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from .case import Case, all_cases, load
from .pool import run_all
from .proxy import find_dragoman, find_envoy
from .run import compare, observe
from .transcript import Observation


def pick(names: list[str]) -> list[Case]:
    """Cases by file, by folder or by a part of their name."""
    picked = []
    for name in names:
        path = Path(name)
        if path.is_file():
            picked.append(load(path))
        else:
            picked += [case for case in all_cases() if name.removeprefix("cases/") in case.name]
    return list({case.name: case for case in picked}.values())


def show(title: str, seen: Observation) -> None:
    """One side's whole transcript."""
    print(f"\n######## {title}")
    if seen.refused:
        print(f"refused:\n{seen.refused}")
    for name, text in seen.sections.items():
        print(f"--- {name}\n{text}")


def record(cases: list[Case], facts: Path | None) -> int:
    """Runs the real Envoy alone; optionally writes all that was seen as JSON."""

    async def one(batch: list[Case]) -> list[Observation]:
        try:
            return [(await observe(batch, "envoy", find_envoy()))[batch[0].name]]
        except Exception:
            return [Observation(refused=traceback.format_exc())]

    seen = run_all([[case] for case in cases], one)
    for case in cases:
        show(f"{case.name}: {case.title}", seen[case.name])
    if facts:
        plain = {name: {**s.sections, "orders": s.header_orders}
                 for name, s in seen.items()}  # fmt: skip
        facts.write_text(json.dumps(plain, indent=1), "utf-8")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("verb", choices=["run", "record", "list"])
    parser.add_argument("cases", nargs="*", default=[""])
    parser.add_argument("--facts", type=Path, help="record: also write everything as JSON")
    parser.add_argument("--brief", action="store_true", help="run: only the outcome and the diff")
    arguments = parser.parse_args()
    cases = pick(arguments.cases)
    if arguments.verb == "list":
        for case in cases:
            print(f"{case.name}: {case.title}")
        return 0
    if arguments.verb == "record":
        return record(cases, arguments.facts)
    verdicts = run_all(
        [[case] for case in cases], lambda batch: compare(batch, find_envoy(), find_dragoman())
    )
    for name, verdict in verdicts.items():
        if not arguments.brief:
            show(f"{name} — envoy", verdict.envoy)
            show(f"{name} — dragoman", verdict.dragoman)
        print(f"\n######## {name}: {verdict.outcome}\n{verdict.text}")
    return int(any(verdict.outcome == "failed" for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
