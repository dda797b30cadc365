"""Writes docs/compatibility.md: what works as in Envoy, what differs on purpose, what is refused.

Two sources, and nothing else: python/dragoman/config/support.table (what the product takes) and the
results of `pytest tests/differential` (what a real Envoy and Dragoman did with the same bytes).
`--check` fails when the committed page is not what these say; `--uncovered` lists the working
fields that no case and no unit test names.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

from dragoman.config.support import Row, rows  # noqa: E402  (the path comes first)

PAGE = ROOT / "docs" / "compatibility.md"
CASES = ROOT / "tests" / "differential" / "cases"
OPTIONS = ROOT / "tests" / "differential" / "options.yaml"
RESULTS = ROOT / "build" / "differential.json"
MARKER = re.compile(r"(?:#|//) covers: (.+)")
TEST_FOLDERS = ("tests", "crates")


@dataclass
class Outcome:
    """One case of the differential suite and how it ended."""

    name: str
    title: str
    covers: list[str]
    outcome: str
    text: str


@dataclass
class Sources:
    """Everything the page is made from."""

    rows: list[Row]
    cases: list[Outcome]
    sections: list[dict[str, Any]]
    by_field: dict[str, list[Outcome]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for case in self.cases:
            for name in case.covers:
                self.by_field.setdefault(name, []).append(case)


def row_name(row: Row) -> str:
    """Message.field with the message's last name only, as cases write it."""
    return f"{row.message.rpartition('.')[2]}.{row.field}"


def read_sources(results: Path) -> Sources:
    """Raises FileNotFoundError when the suite has not run."""
    entries = json.loads(results.read_text("utf-8"))
    cases = [Outcome(name, **entry) for name, entry in sorted(entries.items())]
    sections = yaml.safe_load(OPTIONS.read_text("utf-8"))
    return Sources(rows(), cases, sections)


def verdict(fields: list[str], sources: Sources) -> tuple[str, str]:
    """Result and remark for one option."""
    cases = {case.name: case for name in fields for case in sources.by_field.get(name, [])}
    table = {row_name(row): row for row in sources.rows}
    refused = [name for name in fields if name not in table or not table[name].works]
    remarks = [remark(table[name]) for name in fields if name in table]
    counted = [case for case in cases.values() if case.outcome in ("equal", "different")]
    purposes = [case for case in counted if case.outcome == "different"]
    notes = [text for text in remarks if text]
    if len(refused) == len(fields):
        return "refused", "; ".join(dict.fromkeys(notes)) or "not supported by this release"
    failed = [case for case in cases.values() if case.outcome == "failed"]
    if failed or not counted:
        notes += [f"not: {', '.join(link(case) for case in failed)}"] if failed else []
        share = f" ({len(counted)} of {len(counted) + len(failed)})" if failed else ""
        return f"not yet{share}", "; ".join(dict.fromkeys(notes))
    notes += [f"refused: {', '.join(refused)}"] if refused else []
    if purposes:
        titles = ", ".join(link(case) for case in purposes)
        return f"different on purpose ({len(counted)})", "; ".join([*notes, f"see {titles}"])
    return f"equal ({len(counted)})", "; ".join(dict.fromkeys(notes))


def remark(row: Row) -> str:
    """What the support table says beside "works"."""
    name = row_name(row)
    if not row.works:
        return f"`{name}`: {row.reason}"
    if row.condition:
        kinds = [kind.rpartition(".")[2] for kind in row.condition.split(" | ")]
        return f"`{name}` if {' or '.join(kinds)}" + (f" ({row.note})" if row.note else "")
    return f"`{name}`: {row.note}" if row.note else ""


def link(case: Outcome) -> str:
    """A case as a link to its file."""
    return f"[{case.name}](../tests/differential/cases/{case.name}.yaml)"


def page(sources: Sources) -> str:
    """The whole page."""
    lines = [
        "# Compatibility with Envoy",
        "",
        "Made by `scripts/compatibility.py` from the table of supported fields and from runs of "
        "`tests/differential`, which plays the same bytes to a real Envoy 1.40 and to Dragoman. "
        "Not written by hand.",
        "",
        "**equal (n)**: n cases, and both did the same. **different on purpose**: the reason is "
        "below. **refused**: a configuration that sets it is refused with its path and the reason. "
        "**not yet**: taken, but no case shows it equal.",
        "",
        *totals(sources.cases),
    ]
    for section in sources.sections:
        lines += [
            "",
            f"## {section['section']}",
            "",
            "| Option | Result | Remark |",
            "|---|---|---|",
        ]
        for option in section["options"]:
            result, text = verdict(option["fields"], sources)
            lines.append(f"| {option['name']} | {result} | {cell(text)} |")
    lines += ["", *differences(sources.cases), "", *hostile(sources.cases), "", *fields(sources)]
    return "\n".join(lines) + "\n"


def totals(cases: Iterable[Outcome]) -> list[str]:
    """How many cases ended how."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.outcome] = counts.get(case.outcome, 0) + 1
    words = {"failed": "not yet", "different": "different on purpose"}
    said = [f"{words.get(kind, kind)} {number}" for kind, number in sorted(counts.items())]
    return [f"Cases: {', '.join(said)}."]


def cell(text: str) -> str:
    """Text that does not break a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def differences(cases: Iterable[Outcome]) -> list[str]:
    """The deliberate differences and their reasons."""
    lines = ["## Different on purpose", "", "| Case | Why |", "|---|---|"]
    lines += [
        f"| {link(case)}: {cell(case.title)} | {cell(case.text)} |"
        for case in cases
        if case.outcome == "different"
    ]
    return lines


def hostile(cases: Iterable[Outcome]) -> list[str]:
    """Results by class of hostile input."""
    classes: dict[str, list[Outcome]] = {}
    for case in cases:
        for name in case.covers:
            if name.startswith("hostile "):
                classes.setdefault(name.removeprefix("hostile "), []).append(case)
    lines = ["## Hostile inputs", "", "| Class | Cases | Result |", "|---|---|---|"]
    for name, found in sorted(classes.items(), key=lambda item: (item[0][0], int(item[0][1:]))):
        kinds = sorted({"not yet" if c.outcome == "failed" else c.outcome for c in found})
        lines.append(f"| {name} | {', '.join(link(c) for c in found)} | {', '.join(kinds)} |")
    return lines


def fields(sources: Sources) -> list[str]:
    """Every field of the support table, message by message."""
    lines = ["## Every field", "", "| Message | Works | Refused |", "|---|---|---|"]
    messages: dict[str, list[Row]] = {}
    for row in sources.rows:
        messages.setdefault(row.message, []).append(row)
    for message, found in messages.items():
        works = [row.field + (f" ({row.condition})" if row.condition else "")
                 for row in found if row.works]  # fmt: skip
        refused = [f"{row.field}: {row.reason}" for row in found if not row.works]
        shown = ", ".join("all" if name == "*" else name for name in works)
        lines.append(f"| `{message}` | {cell(shown)} | {cell('; '.join(refused))} |")
    return lines


def uncovered(table: Iterable[Row]) -> list[str]:
    """Working fields that no case file and no `covers:` comment of a test names."""
    named = marked()
    for file in CASES.rglob("*.yaml"):
        named |= set(yaml.safe_load(file.read_text("utf-8"))["covers"])
    return [
        row_name(row)
        for row in table
        if row.works
        and row.field != "*"
        and row_name(row) not in named
        and f"{row.message}.{row.field}" not in named
    ]


def marked() -> set[str]:
    """Fields that tests name in a comment: `# covers: Message.field, Message.field`."""
    found: set[str] = set()
    for folder in TEST_FOLDERS:
        for pattern in ("*.py", "*.rs"):
            for file in (ROOT / folder).rglob(pattern):
                for names in MARKER.findall(file.read_text("utf-8")):
                    found |= {name.strip() for name in names.split(",")}
    return found


def main() -> int:
    """The command line; 1 when a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    parser.add_argument("--uncovered", action="store_true", help="list, and do nothing else")
    parser.add_argument("--strict", action="store_true", help="with --uncovered: fail if any")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.uncovered:
        missing = uncovered(rows())
        print("\n".join([*missing, f"{len(missing)} working fields are named by no test"]))
        return int(arguments.strict and bool(missing))
    try:
        sources = read_sources(arguments.results)
    except FileNotFoundError:
        print(f"no {arguments.results}: run `pytest tests/differential` first", file=sys.stderr)
        return 1
    wanted = page(sources)
    current = PAGE.read_text("utf-8") if PAGE.exists() else ""
    if not arguments.check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, "utf-8")
        return 0
    diff = difflib.unified_diff(
        current.splitlines(), wanted.splitlines(), "committed", "now", lineterm="", n=0
    )
    shown = list(diff)
    print("\n".join(shown[:60]) if shown else "docs/compatibility.md is current")
    return int(bool(shown))


if __name__ == "__main__":
    sys.exit(main())
