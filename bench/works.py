"""The works: what is asked of every peer, and how it is measured.

Adding one: a `Work` in `WORKS`. Only a new way of measuring needs a function in measure.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bench.generator import Drive
from bench.site import Site


class Kind(StrEnum):
    """The ways of measuring; each has a function in measure.py and a headline in figures.py."""

    REQUESTS = "requests"
    IDLE = "idle"
    START = "start"


@dataclass(frozen=True)
class Work:
    """One comparison: the task, the load, and how the cost is measured."""

    name: str
    title: str
    kind: Kind = Kind.REQUESTS
    site: Site = field(default_factory=Site)
    #: Connections that hold still beside those that make the load.
    idle: int = 0
    drive: Drive = field(default_factory=Drive)


KIB = 1024
MIB = 1024 * KIB

WORKS: tuple[Work, ...] = (
    Work("h1", "HTTP/1.1, 32 keep-alive connections, 128-byte bodies"),
    Work("h1-16k", "16 KiB bodies", drive=Drive(response_bytes=16 * KIB)),
    Work("h1-1m", "1 MiB bodies", drive=Drive(response_bytes=MIB)),
    Work("h1-post-16k", "16 KiB uploads", drive=Drive(body_bytes=16 * KIB)),
    Work("h1-post-1m", "1 MiB uploads", drive=Drive(body_bytes=MIB)),
    Work("headers", "20 realistic headers each way", drive=Drive(headers=20)),
    Work("connect", "a new connection for each request", drive=Drive(per_connection=1)),
    Work("hosts-1", "1 virtual host", site=Site(hosts=1)),
    Work("hosts-100", "100 virtual hosts", site=Site(hosts=100)),
    Work("hosts-10000", "10,000 virtual hosts", site=Site(hosts=10_000)),
    Work("routes-1", "1 path prefix", site=Site(routes=1)),
    Work("routes-100", "100 path prefixes in one virtual host", site=Site(routes=100)),
    Work("routes-10000", "10,000 path prefixes in one virtual host", site=Site(routes=10_000)),
    Work("log", "access log, one line per request", site=Site(access_log=True)),
    Work("busy-100", "100 keep-alive connections", drive=Drive(connections=100)),
    Work(
        "busy-100-idle-7000",
        "100 keep-alive connections beside 7,000 idle ones",
        idle=7000,
        drive=Drive(connections=100),
    ),
    Work("workers-2", "two workers on two cores, shared with the load", site=Site(workers=2)),
    Work("tcp", "bytes passed on, no HTTP looked at", site=Site(tcp=True)),
    Work("tcp-1m", "the same, 1 MiB bodies", site=Site(tcp=True), drive=Drive(response_bytes=MIB)),
    Work("h1tls", "HTTP/1.1 over TLS, 32 keep-alive connections", site=Site(tls=True)),
    Work(
        "handshake",
        "a full TLS handshake (1.3, ECDSA P-256) for each request",
        site=Site(tls=True),
        drive=Drive(per_connection=1),
    ),
    Work(
        "h2c",
        "HTTP/2 without TLS, 4 connections of 32 streams",
        site=Site(http2=True),
        drive=Drive(connections=4, streams=32),
    ),
    Work(
        "h2tls",
        "HTTP/2 over TLS, 4 connections of 32 streams",
        site=Site(http2=True, tls=True),
        drive=Drive(connections=4, streams=32),
    ),
    Work(
        "grpc-unary",
        "unary gRPC calls, 4 connections of 32 streams",
        site=Site(http2=True, grpc=True),
        drive=Drive(connections=4, streams=32, body_bytes=64, grpc=True),
    ),
    Work("idle", "idle keep-alive connections, each answered once", kind=Kind.IDLE),
    Work(
        "idle-tls",
        "the same over TLS",
        kind=Kind.IDLE,
        site=Site(tls=True),
    ),
    Work("start", "from exec to the first answered request", kind=Kind.START),
)
