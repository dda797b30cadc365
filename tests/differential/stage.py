"""What one case needs around it: ports, origins, its filled-in bootstrap, clients, masks.

Several stages can share one proxy process: then a tag on the names of clusters, listeners and
statistics keeps them apart, and is taken off again wherever it is seen. Must not judge.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import random
import socket
from pathlib import Path
from typing import Any

import yaml

from .case import Case, bootstrap, fill, placeholders
from .client import Connection
from .normalise import Normaliser
from .origin import FullListener, Origin, Upstream
from .script import Player
from .transcript import Observation, show_client, show_origin

FILES = Path(__file__).resolve().parent / "files"  # {{files}}: what configurations may read


def free_port(keep: contextlib.ExitStack) -> int:
    """A five-digit port outside the ephemeral range, so that no client socket takes it.

    Proxies bind with SO_REUSEPORT and would share one without a word; so a UDP socket on the same
    number, kept until `keep` ends, tells other runs on this machine that the port is taken.
    """
    for _ in range(200):
        port = random.randrange(10240, 32000)
        # Round numbers are timeouts and sizes elsewhere: the masks couldn't tell them apart.
        if port % 1000 == 0 or port % 1024 == 0:
            continue
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
    case: Case, config: dict[str, Any], folder: str, keep: contextlib.ExitStack
) -> tuple[dict[str, Origin], dict[str, Any]]:
    """The origins that a bootstrap names, and the values of all its placeholders.

    `keep` closes what else was opened.
    """
    origins: dict[str, Origin] = {}
    known: dict[str, Any] = {
        "listener_port": free_port(keep), "admin_port": free_port(keep), "dir": folder,
        "access_log": f"{folder}/access.log", "listener_socket": f"{folder}/listener.sock",
        "files": str(FILES), "tls": str(FILES / "tls"),
    }  # fmt: skip
    for name in sorted(placeholders(config)):
        kind, _, of = name.partition(":")
        if kind == "port":
            known[name] = free_port(keep)
            origins[of] = Origin(of, known[name], tls=case.origin_tls(of), talks=case.talks(of))
        elif kind == "socket":
            known[name] = f"{folder}/{of}.sock"
            origins[of] = Origin(
                of, path=known[name], tls=case.origin_tls(of), talks=case.talks(of)
            )
        elif kind == "text":
            known[name] = (FILES / "tls" / of).read_text("ascii")
        elif kind in ("sha256", "spki"):
            known[name] = _fingerprints()[of][kind]
        elif name == "full_port":
            known[name] = keep.enter_context(contextlib.closing(FullListener())).port
        elif name.endswith("_port"):
            known.setdefault(name, free_port(keep))
    for origin in origins.values():
        await origin.start()
    return origins, known


@functools.cache
def _fingerprints() -> Any:
    return yaml.safe_load((FILES / "tls" / "fingerprints.yaml").read_text("utf-8"))


class Stage:
    """One case, ready to be played. `tag` is "" where it has a process of its own."""

    def __init__(self, case: Case, tag: str = "") -> None:
        self.case = case
        self.tag = tag
        self.keep = contextlib.ExitStack()
        self.config: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.masks = Normaliser({})
        self.player = Player("", {})

    async def open(self, folder: str) -> None:
        """Takes ports and starts the origins; `config`, `player` and `masks` are set afterwards."""
        config = bootstrap(self.case)
        self.origins, self.known = await open_origins(self.case, config, folder, self.keep)
        self.config = (
            tagged(fill(config, self.known), self.tag) if self.tag else fill(config, self.known)
        )
        ports = {
            name.replace("port:", "origin "): value
            for name, value in self.known.items()
            if isinstance(value, int)
        }
        hidden = {folder: "<dir>"} | ({self.tag: ""} if self.tag else {})
        self.masks = Normaliser(ports, self.case.compare.get("mask"), hidden)
        on_socket = "listener_socket" in placeholders(config)
        where = self.known["listener_socket" if on_socket else "listener_port"]
        self.player = Player(where, self.origins, self.case.tls, self.case.raw)
        self.player.admin_port = self.known["admin_port"]
        self.player.places = self.known

    async def close(self) -> None:
        """Closes clients, origins and claims on ports."""
        for connection in self.player.connections.values():
            connection.close()
        for origin in self.origins.values():
            await origin.stop()
        self.keep.close()

    def look(self) -> Observation:
        """What can be seen on the sockets now."""
        seen = Observation()
        seen.sections["origin"] = "\n".join(
            show_origin(origin, self.masks, seen) for origin in self.player.origins.values()
        )
        seen.sections["client"] = "\n".join(
            show_client(connection, self.masks, seen)
            for connection in self.player.connections.values()
        )
        return seen

    def sizes(self) -> list[tuple[int, str, str]]:
        """How much came on every connection and how each ended: cheap to compare."""
        upstreams = [c for origin in self.player.origins.values() for c in origin.connections]
        ends: list[Connection | Upstream] = [*self.player.connections.values(), *upstreams]
        return [(len(c.received), c.end + c.look(), c.tls) for c in ends]


def separable(case: Case) -> bool:
    """Whether a case can share a process: nothing of it is seen or set process-wide."""
    own: tuple[str, ...] = ("http.ingress.", "tcp.ingress.", "cluster.origin.")
    if prefix := case.config.get("listener", {}).get("stat_prefix"):
        own += (f"listener.{prefix}.",)
    shared_stats = [pattern for pattern in case.stats if not pattern.startswith(own)]
    return not (
        shared_stats
        or case.compare.get("admin")
        or case.compare.get("admin_status")
        or case.must.get("refused")
        or any("admin" in step for step in case.script)
        or {"full", "bootstrap"} & set(case.config)
        or "cluster_header" in json.dumps(case.config)
        or "alt_stat_name" in json.dumps(case.config)
    )


def batches(cases: list[Case], size: int = 16) -> list[list[Case]]:
    """Cases that share a process, in order: neighbours of one area, then those that stay alone."""
    groups: list[list[Case]] = []
    for case in cases:
        if not separable(case):
            groups.append([case])
        elif shared := next((g for g in groups if len(g) < size and separable(g[0])), None):
            shared.append(case)
        else:
            groups.append([case])
    return groups


def tagged(config: dict[str, Any], tag: str) -> dict[str, Any]:
    """A filled-in bootstrap with `tag` behind its listeners', clusters' and statistics' names."""
    config = copy.deepcopy(config)
    static = config["static_resources"]
    clusters = {cluster["name"] for cluster in static["clusters"]}
    for cluster in static["clusters"]:
        cluster["name"] += tag
    for listener in static["listeners"]:
        listener["name"] += tag
        if "stat_prefix" in listener:
            listener["stat_prefix"] += tag
        _tag_names(listener, clusters, tag)
    return config


def _tag_names(value: Any, clusters: set[str], tag: str) -> None:
    if isinstance(value, list):
        for item in value:
            _tag_names(item, clusters, tag)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if (key == "cluster" and item in clusters) or (key == "stat_prefix" and item == "ingress"):
            value[key] = item + tag
        elif key == "weighted_clusters":
            for weighted in item["clusters"]:
                if weighted["name"] in clusters:
                    weighted["name"] += tag
            _tag_names(item, clusters, tag)
        else:
            _tag_names(item, clusters, tag)


def merged(stages: list[Stage]) -> dict[str, Any]:
    """One bootstrap that holds every stage's listeners and clusters."""
    config = copy.deepcopy(stages[0].config)
    for stage in stages[1:]:
        for kind in ("listeners", "clusters"):
            config["static_resources"][kind] += stage.config["static_resources"][kind]
    return config
