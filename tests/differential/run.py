"""Runs one case against one proxy, and judges two runs. This file is the order of events:

ports and origins -> bootstrap -> proxy -> script -> settle -> admin -> end -> log -> text.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import fnmatch
import json
import random
import socket
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .case import Case, bootstrap, fill, placeholders
from .normalise import Normaliser
from .origin import FullListener, Origin
from .proxy import Proxy, Refused, http_get
from .script import Player
from .transcript import Observation, show_client, show_origin

QUIET = 0.12  # nobody has closed anything for this long: what is open stays open
SETTLE_LIMIT = 3.0
FILES = Path(__file__).resolve().parent / "files"  # {{files}}: what configurations may read


@dataclass
class Verdict:
    """The judgement of one case: `outcome` is equal | differs | different | refused | failed."""

    case: Case
    outcome: str
    text: str = ""
    envoy: Observation = field(default_factory=Observation)
    dragoman: Observation = field(default_factory=Observation)


def free_port(keep: contextlib.ExitStack) -> int:
    """A five-digit port outside the ephemeral range, so that no client socket takes it.

    Proxies bind with SO_REUSEPORT and would share one without a word; so a UDP socket on the same
    number, kept until `keep` ends, tells other runs on this machine that the port is taken.
    """
    for _ in range(200):
        port = random.randrange(10240, 32000)
        with contextlib.ExitStack() as opened:
            claim = opened.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            probe = opened.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                claim.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            probe.close()
            keep.push(opened.pop_all())
            return port
    raise OSError("no free port between 10240 and 32000")


async def open_origins(
    config: dict[str, Any], folder: str, keep: contextlib.ExitStack
) -> tuple[dict[str, Origin], dict[str, Any]]:
    """The origins that a bootstrap names, and the values of all its placeholders.

    `keep` closes what else was opened.
    """
    origins: dict[str, Origin] = {}
    known: dict[str, Any] = {
        "listener_port": free_port(keep), "admin_port": free_port(keep), "dir": folder,
        "access_log": f"{folder}/access.log", "listener_socket": f"{folder}/listener.sock",
        "files": str(FILES),
    }  # fmt: skip
    for name in sorted(placeholders(config)):
        kind, _, of = name.partition(":")
        if kind == "port":
            known[name] = free_port(keep)
            origins[of] = Origin(of, known[name])
        elif kind == "socket":
            known[name] = f"{folder}/{of}.sock"
            origins[of] = Origin(of, path=known[name])
        elif name == "full_port":
            known[name] = keep.enter_context(contextlib.closing(FullListener())).port
        elif name.endswith("_port"):
            known.setdefault(name, free_port(keep))
    for origin in origins.values():
        await origin.start()
    return origins, known


async def observe(
    case: Case, role: str, binary: Path, expected: Observation | None = None
) -> Observation:
    """Runs `case` against one proxy. `expected` only says when the wait to settle may end."""
    config = bootstrap(case)
    keep = contextlib.ExitStack()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder, keep:
        origins, known = await open_origins(config, folder, keep)
        masks = Normaliser(
            {n.replace("port:", "origin "): p for n, p in known.items() if isinstance(p, int)},
            case.compare.get("mask"),
            folder,
        )
        file = Path(folder) / "bootstrap.json"
        file.write_text(json.dumps(fill(config, known), indent=1), "utf-8")
        proxy = Proxy(role, binary, Path(folder), known["admin_port"])
        on_socket = "listener_socket" in placeholders(config)
        player = Player(known["listener_socket" if on_socket else "listener_port"], origins)
        try:
            await proxy.start(file)
            await player.play(case.script)
            seen = await settle(case, player, masks, expected)
            await read_admin(case, proxy, masks, seen)
        except Refused as refusal:
            seen = Observation(refused=str(refusal) or "(no message)")
        finally:
            code = await proxy.stop()
            for connection in player.connections.values():
                connection.close()
            for origin in origins.values():
                await origin.stop()
        if code != 0 and not seen.refused:
            seen.sections["process"] = f"exit code {code}\n{proxy.tail()}"
        read_log(case, Path(folder), masks, seen)
    seen.role = role
    return seen


def look(player: Player, masks: Normaliser) -> Observation:
    """What can be seen on the sockets now."""
    seen = Observation()
    seen.sections["origin"] = "\n".join(
        show_origin(origin, masks, seen) for origin in player.origins.values()
    )
    seen.sections["client"] = "\n".join(
        show_client(connection, masks, seen) for connection in player.connections.values()
    )
    return seen


async def settle(
    case: Case, player: Player, masks: Normaliser, expected: Observation | None
) -> Observation:
    """Looks until nothing changes any more (and, with `expected`, until it equals that)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_LIMIT
    before, since = _sizes(player), loop.time()
    while loop.time() < deadline:
        await asyncio.sleep(0.02)
        now = _sizes(player)
        if now != before:
            before, since = now, loop.time()
        elif loop.time() - since > QUIET:
            if _as_expected(case, look(player, masks), expected):
                break
            since = loop.time()
    return look(player, masks)


def _sizes(player: Player) -> list[tuple[int, str]]:
    """How much came on every connection and how each ended: cheap to compare."""
    upstreams = [c for origin in player.origins.values() for c in origin.connections]
    return [(len(c.received), c.end) for c in player.connections.values()] + [
        (len(c.received), c.end) for c in upstreams
    ]


def _as_expected(case: Case, seen: Observation, expected: Observation | None) -> bool:
    """Whether waiting longer cannot make the verdict better."""
    if expected is None:
        return True
    if case.differs:
        return not unmet(case, seen, skip=("log_has",))
    judged = [name for name in seen.sections if name not in case.compare.get("skip", [])]
    return all(seen.sections[name] == expected.sections.get(name) for name in judged)


async def read_admin(case: Case, proxy: Proxy, masks: Normaliser, seen: Observation) -> None:
    """Counters after traffic and chosen admin answers."""
    stats: dict[str, int] = {}
    last: dict[str, int] | None = None
    for _ in range(20):
        with contextlib.suppress(OSError, TimeoutError):
            stats = parse_stats((await http_get(proxy.admin_port, "/stats"))[1])
        if stats == last:
            break
        last = stats
        await asyncio.sleep(0.03)
    seen.stats = {name: value for name, value in stats.items() if value}
    wanted = case.compare.get("stats", [])
    if wanted:
        chosen = [name for name in stats if any(fnmatch.fnmatch(name, w) for w in wanted)]
        lines = [masks.text(f"{name}: {stats[name]}") for name in sorted(chosen)]
        seen.sections["stats"] = "\n".join(lines)
    for target in case.compare.get("admin", []):
        status, body = await http_get(proxy.admin_port, target)
        seen.sections[f"admin {target}"] = f"{status}\n{masks.text(body)}"
    for target in case.compare.get("admin_status", []):
        status, _ = await http_get(proxy.admin_port, target)
        seen.sections[f"admin {target}"] = f"{status}"


def parse_stats(text: str) -> dict[str, int]:
    """Counters and gauges of a /stats page; histograms are left out."""
    stats = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(": ")
        if value.lstrip("-").isdigit():
            # The listener's address is part of its stats' names.
            stats[name] = int(value)
    return stats


def read_log(case: Case, folder: Path, masks: Normaliser, seen: Observation) -> None:
    """The access log, complete because the proxy has ended."""
    if seen.refused:
        return
    file = folder / "access.log"
    seen.log = file.read_text("latin-1") if file.exists() else ""
    if "log" not in case.compare.get("skip", []):
        seen.sections["log"] = "\n".join(masks.text(line) for line in seen.log.splitlines())
    for name in case.compare.get("skip", []):
        seen.sections.pop(name, None)


def unmet(case: Case, seen: Observation, skip: tuple[str, ...] = ()) -> list[str]:
    """What `must` demands and the observation does not give."""
    must, faults = {key: value for key, value in case.must.items() if key not in skip}, []
    wanted = must.get("statuses", seen.statuses)
    if isinstance(wanted, int):
        wanted = [wanted] * len(seen.client_ends)
    if seen.statuses != wanted:
        faults.append(f"statuses {seen.statuses}, must be {wanted}")
    if "origin_requests" in must and seen.origin_requests != must["origin_requests"]:
        faults.append(
            f"{seen.origin_requests} requests at the origin, not {must['origin_requests']}"
        )
    if "client_end" in must:
        ends = set(seen.client_ends.values())
        if ends != {must["client_end"]}:
            faults.append(f"client connections ended {sorted(ends)}, not {must['client_end']}")
    for text in must.get("origin_has", []):
        if text.encode("latin-1") not in seen.origin_bytes:
            faults.append(f"the origin never saw {text!r}")
    for text in must.get("origin_lacks", []):
        if text.encode("latin-1") in seen.origin_bytes:
            faults.append(f"the origin saw {text!r}")
    for text in must.get("client_lacks", []):
        if text.encode("latin-1") in seen.client_bytes:
            faults.append(f"the client got {text!r}")
    for text in must.get("log_has", []):
        if text not in seen.log:
            faults.append(f"the access log lacks {text!r}")
    return faults


def difference(envoy: Observation, dragoman: Observation) -> str:
    """A unified diff, section by section; empty when equal."""
    blocks = []
    for name in dict.fromkeys([*envoy.sections, *dragoman.sections]):
        left, right = envoy.sections.get(name, ""), dragoman.sections.get(name, "")
        if left != right:
            lines = difflib.unified_diff(
                left.splitlines(), right.splitlines(), "envoy", "dragoman", lineterm="", n=20
            )
            blocks.append(f"##### {name}\n" + "\n".join(lines))
    return "\n\n".join(blocks)


def _judge_refusal(
    case: Case, envoy: Observation, dragoman: Observation, same: bool
) -> tuple[str, str]:
    """Outcome and text where the configuration must be refused (by Dragoman alone: `differs`)."""
    served = {"envoy": not envoy.refused, "dragoman": not dragoman.refused}
    if same:
        served.pop("dragoman")
    expected = {"envoy": bool(case.differs), "dragoman": False}
    wrong = [name for name, does in served.items() if does != expected[name]]
    if wrong:
        return "failed", "; ".join(
            f"{name} {'serves' if served[name] else 'refuses'} this" for name in wrong
        )
    return ("different" if case.differs and not same else "equal"), case.differs


def judge(case: Case, envoy: Observation, dragoman: Observation, same: bool) -> Verdict:
    """`same` says that both runs were made with one binary (the suite checking itself)."""

    def verdict(outcome: str, text: str = "") -> Verdict:
        return Verdict(case, outcome, text, envoy, dragoman)

    if case.must.get("refused"):
        return verdict(*_judge_refusal(case, envoy, dragoman, same))
    if envoy.refused:
        return verdict("failed", f"the real Envoy refuses this configuration:\n{envoy.refused}")
    if dragoman.refused:
        return verdict("refused", dragoman.refused)
    diff = difference(envoy, dragoman)
    if same:
        faults = [] if case.differs else unmet(case, envoy)
        text = "\n".join([*faults, diff]).strip()
        return verdict("failed" if text else "equal", text)
    faults = unmet(case, dragoman)
    if case.differs:
        if faults:
            return verdict("failed", "\n".join(["deliberate difference broken:", *faults, diff]))
        if not diff:
            return verdict("failed", "no difference is left: remove `differs`")
        return verdict("different", case.differs)
    faults += [f"envoy: {fault}" for fault in unmet(case, envoy)]
    text = "\n".join([*faults, diff]).strip()
    return verdict("failed" if text else "equal", text)


async def compare(case: Case, envoy_binary: Path, dragoman_binary: Path) -> Verdict:
    """Both proxies on one case. A fault of the case or the harness is a failed verdict."""
    same = envoy_binary == dragoman_binary
    try:
        envoy = await observe(case, "envoy", envoy_binary)
        # A difference that cannot come is not worth waiting for.
        expected = None if same and case.differs else envoy
        dragoman = await observe(case, "dragoman", dragoman_binary, expected)
    except Exception:
        return Verdict(case, "failed", f"harness:\n{traceback.format_exc()}")
    return judge(case, envoy, dragoman, same)
