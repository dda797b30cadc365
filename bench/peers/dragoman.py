"""Dragoman, started with the very file that Envoy is started with."""

from __future__ import annotations

import os
from pathlib import Path

from bench.peers.envoy import write_config
from bench.peers.peer import Peer, version_of
from bench.site import Place, Site

CHECKOUT = Path(__file__).resolve().parents[2]


class Dragoman(Peer):
    """The checkout's own build; DRAGOMAN_BIN names another."""

    name = "dragoman"
    title = "Dragoman"

    def program(self) -> Path | None:
        path = Path(os.environ.get("DRAGOMAN_BIN") or CHECKOUT / ".venv" / "bin" / "dragoman")
        return path if path.exists() else None

    def version(self) -> str:
        return version_of(self.program(), "--version")

    def command(self, site: Site, place: Place) -> list[str]:
        config = str(write_config(site, place))
        return [str(self.program()), "-c", config, "--concurrency", str(site.workers)]
