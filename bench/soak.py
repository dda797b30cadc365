"""The soak: very many requests through one started peer, and not one of them lost.

Every answer carries its request's serial and its bytes are compared; every upload's arrival is
told by the origin. The parts follow each other on the same process, whose memory is read after
each, so that a leak shows as growth from part to part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.generator import Drive
from bench.measure import MIB, Bench, stage
from bench.peers import Peer
from bench.table import aligned, number
from bench.works import KIB, Work


@dataclass(frozen=True)
class Part:
    """A share of all requests, and how they are made."""

    title: str
    share: float
    drive: Drive


CHECKED = Drive(serials=True, check_body=True)

PARTS: tuple[Part, ...] = (
    Part("keep-alive", 0.4, CHECKED),
    Part("20 headers on a request", 0.1, replace(CHECKED, headers=20)),
    Part("4 KiB uploads", 0.1, replace(CHECKED, body_bytes=4 * KIB)),
    Part("20 requests a connection", 0.1, replace(CHECKED, per_connection=20)),
    Part("keep-alive again", 0.3, CHECKED),
)


@dataclass(frozen=True)
class Soaked:
    """What became of a part; memory in MiB after it."""

    title: str
    requests: int
    failures: dict[str, int]
    per_second: float
    rss_mib: float


def soak(bench: Bench, peer: Peer, requests: int) -> list[Soaked]:
    """Makes `requests` requests in all; raises `BenchError` when the peer ends."""
    done = []
    with stage(bench, Work("soak", "soak", drive=CHECKED), peer) as up:
        for part in PARTS:
            until = ["--requests", str(round(requests * part.share))]
            outcome = up.generator.drive(part.drive, up.place.listen, up.targets, until)
            up.running.check_alive()
            memory = up.running.memory().rss / MIB
            done.append(
                Soaked(part.title, outcome.requests, outcome.failures, outcome.per_second, memory)
            )
    return done


def soak_table(peer: Peer, parts: list[Soaked]) -> str:
    """The parts and the verdict."""
    rows = [[peer.title, "requests", "req/s", "RSS MiB", "failed"]]
    rows += [
        [
            part.title,
            number(part.requests, 0),
            number(part.per_second, 0),
            number(part.rss_mib, 1),
            ", ".join(f"{name} {count}" for name, count in part.failures.items()) or "0",
        ]
        for part in parts
    ]
    total = sum(part.requests for part in parts)
    failed = sum(sum(part.failures.values()) for part in parts)
    return "\n".join([*aligned(rows), f"{failed:,} of {total:,} requests failed"])
