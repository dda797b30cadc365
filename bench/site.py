"""What every peer is asked to do for a work, in words that no peer owns.

A peer turns a `Site` and a `Place` into its own configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """The task: proxy HTTP to one origin, HTTP/1.1 on both sides, with these extras.

    hosts: number of virtual hosts, chosen by the host header; 0 takes any host.
    routes: number of path prefixes in one virtual host; 0 takes any path.
    access_log: one line per request into `Place.access_log`.
    workers: threads or processes that proxy.
    tcp: bytes are passed on as they are, no HTTP is looked at.
    tls: clients speak TLS; `Place.certificate` is shown to them.
    http2: clients speak HTTP/2; with `tls` by ALPN, else by prior knowledge.
    grpc: the origin speaks HTTP/2, by prior knowledge.
    """

    hosts: int = 0
    routes: int = 0
    access_log: bool = False
    workers: int = 1
    tcp: bool = False
    tls: bool = False
    http2: bool = False
    grpc: bool = False

    def host_names(self) -> list[str]:
        """The virtual hosts' names."""
        return [f"shop-{index:05}.example.com" for index in range(self.hosts)]

    def prefixes(self) -> list[str]:
        """The routes' path prefixes, no one a prefix of another."""
        return [f"/service-{index:05}/" for index in range(self.routes)]

    def targets(self) -> list[tuple[str, str]]:
        """A (host, path) for each host or route, so that the load meets all of them."""
        if self.hosts:
            return [(host, "/basket/items?id=17") for host in self.host_names()]
        prefixes = self.prefixes() or ["/"]
        return [("bench.example.com", f"{prefix}basket/items?id=17") for prefix in prefixes]


@dataclass(frozen=True)
class Place:
    """Where it happens: ports of 127.0.0.1 and a folder for the peer's files."""

    listen: int
    origin: int
    admin: int
    folder: Path

    @property
    def certificate(self) -> Path:
        """A PEM file of a certificate (ECDSA P-256) and its key; made when a work wants one."""
        return self.folder / "bench.pem"

    @property
    def ca(self) -> Path:
        """Who signed it."""
        return self.folder / "ca.pem"

    @property
    def access_log(self) -> Path:
        """The file of the access log."""
        return self.folder / "access.log"
