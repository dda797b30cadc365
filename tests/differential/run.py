"""Runs cases against one proxy process. This file is the order of events:

ports and origins -> bootstrap -> proxy -> scripts -> settle -> admin -> end -> log -> text.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

from .case import Case
from .judge import Verdict, judge, unmet
from .proxy import Crashed, Proxy, Refused, http_get
from .stage import Stage, merged
from .transcript import Observation

QUIET = 0.12  # nobody has closed anything for this long: what is open stays open
SETTLE_LIMIT = 3.0
PLAYED_AT_ONCE = 5
SEEN_NOTHING: Mapping[str, Observation] = {}


async def observe(
    cases: list[Case], role: str, binary: Path, expected: Mapping[str, Observation] = SEEN_NOTHING
) -> dict[str, Observation]:
    """Runs `cases` against one process; observations by the cases' names.

    `expected` only says when the wait to settle may end. Raises Crashed, and Refused when more
    than one case stands in the refused configuration.
    """
    alone = len(cases) == 1
    stages = [Stage(case, "" if alone else f"~{n}~") for n, case in enumerate(cases, 1)]
    seen: dict[str, Observation] = {}
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        try:
            for number, stage in enumerate(stages):
                own = Path(folder) / str(number)
                own.mkdir()
                await stage.open(str(own))
            proxy = Proxy(role, binary, Path(folder), stages[0].known["admin_port"])
            try:
                await _serve(proxy, stages, seen, expected)
            except Refused as refusal:
                if not alone:
                    raise
                seen[cases[0].name] = Observation(refused=str(refusal) or "(no message)")
        finally:
            for stage in stages:
                await stage.close()
        for stage in stages:
            read_log(stage, seen[stage.case.name])
    return seen


async def _serve(
    proxy: Proxy,
    stages: list[Stage],
    seen: dict[str, Observation],
    expected: Mapping[str, Observation],
) -> None:
    """From the process's start to its end."""
    file = proxy.directory / "bootstrap.json"
    file.write_text(json.dumps(merged(stages), indent=1), "utf-8")
    gate = asyncio.Semaphore(PLAYED_AT_ONCE)

    async def one(stage: Stage) -> None:
        name = stage.case.name
        async with gate:
            await stage.player.play(stage.case.script)
            seen[name] = await settle(stage, expected.get(name))
            await read_admin(stage, proxy, seen[name])

    try:
        await proxy.start(file)
        await asyncio.gather(*(one(stage) for stage in stages))
    finally:
        code = await proxy.stop()
    if code != 0 and len(stages) > 1:
        raise Crashed(f"{proxy.role}: exit code {code}\n{proxy.tail()}")
    for observation in seen.values():
        if code != 0:
            observation.sections["process"] = f"exit code {code}\n{proxy.tail()}"


async def settle(stage: Stage, expected: Observation | None) -> Observation:
    """Looks until nothing changes any more (and, with `expected`, until it equals that)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_LIMIT
    before, since = stage.sizes(), loop.time()
    while loop.time() < deadline:
        await asyncio.sleep(0.02)
        now = stage.sizes()
        if now != before:
            before, since = now, loop.time()
        elif loop.time() - since > QUIET:
            if _as_expected(stage.case, stage.look(), expected):
                break
            since = loop.time()
    return stage.look()


def _as_expected(case: Case, seen: Observation, expected: Observation | None) -> bool:
    """Whether waiting longer cannot make the verdict better."""
    if expected is None:
        return True
    if case.differs:
        return not unmet(case, seen, skip=("log_has",))
    judged = [name for name in seen.sections if name not in case.compare.get("skip", [])]
    return all(seen.sections[name] == expected.sections.get(name) for name in judged)


def sorted_certificates(body: str) -> str:
    """/certs in the order of its texts: Envoy's order is chance."""
    entries = json.loads(body)["certificates"]
    return json.dumps({"certificates": sorted(entries, key=json.dumps)}, indent=1)


async def read_admin(stage: Stage, proxy: Proxy, seen: Observation) -> None:
    """Counters after traffic and chosen admin answers."""
    compare, masks = stage.case.compare, stage.masks
    wanted = stage.case.stats
    if wanted:
        stats = await settled_stats(proxy, stage.tag, wanted)
        lines = [masks.text(f"{name}: {value}") for name, value in sorted(stats.items())]
        seen.sections["stats"] = "\n".join(lines)
    for target in compare.get("admin", []):
        status, body = await http_get(proxy.admin_port, target)
        if target == "/certs":
            body = sorted_certificates(body)
        seen.sections[f"admin {target}"] = f"{status}\n{masks.text(body)}"
    for target in compare.get("admin_status", []):
        status, _ = await http_get(proxy.admin_port, target)
        seen.sections[f"admin {target}"] = f"{status}"


async def settled_stats(proxy: Proxy, tag: str, wanted: list[str]) -> dict[str, int]:
    """The wanted counters and gauges, once two looks agree."""
    last: dict[str, int] | None = None
    chosen: dict[str, int] = {}
    for _ in range(20):
        with contextlib.suppress(OSError, TimeoutError):
            stats = parse_stats((await http_get(proxy.admin_port, "/stats"))[1])
            named = {name.replace(tag, ""): v for name, v in stats.items() if tag in name}
            chosen = {n: v for n, v in named.items() if any(fnmatch.fnmatch(n, w) for w in wanted)}
        if chosen == last:
            break
        last = chosen
        await asyncio.sleep(0.03)
    return chosen


def parse_stats(text: str) -> dict[str, int]:
    """Counters and gauges of a /stats page; histograms are left out."""
    stats = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(": ")
        if value.lstrip("-").isdigit():
            # The listener's address is part of its stats' names.
            stats[name] = int(value)
    return stats


def read_log(stage: Stage, seen: Observation) -> None:
    """The access log, complete because the proxy has ended."""
    if seen.refused:
        return
    file = Path(stage.known["access_log"])
    seen.log = file.read_text("latin-1") if file.exists() else ""
    seen.sections["log"] = "\n".join(stage.masks.text(line) for line in seen.log.splitlines())
    for name in stage.case.compare.get("skip", []):
        seen.sections.pop(name, None)


async def observe_or_split(
    cases: list[Case], role: str, binary: Path, expected: Mapping[str, Observation] = SEEN_NOTHING
) -> dict[str, Observation]:
    """Like `observe`, but never raises: a batch that cannot run is cut in two, down to the one case
    whose configuration is refused or which ends the process.
    """
    try:
        return await observe(cases, role, binary, expected)
    except Exception:
        if len(cases) == 1:
            return {cases[0].name: Observation(fault=f"{role}:\n{traceback.format_exc()}")}
    half = len(cases) // 2
    first = await observe_or_split(cases[:half], role, binary, expected)
    return first | await observe_or_split(cases[half:], role, binary, expected)


async def compare(cases: list[Case], envoy_binary: Path, dragoman_binary: Path) -> list[Verdict]:
    """Both proxies on the same cases."""
    same = envoy_binary == dragoman_binary
    envoy = await observe_or_split(cases, "envoy", envoy_binary)
    # A difference that cannot come is not worth waiting for.
    expected = {c.name: envoy[c.name] for c in cases if not (same and c.differs)}
    dragoman = await observe_or_split(cases, "dragoman", dragoman_binary, expected)
    return [judge(case, envoy[case.name], dragoman[case.name], same) for case in cases]
