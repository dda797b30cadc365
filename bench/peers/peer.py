"""What the benchmark wants of a peer: where it is, what it can do, how it is started."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from bench.site import Place, Site


class Peer(ABC):
    """A proxy. It stays in the foreground, uses one thread for traffic and ends on SIGTERM."""

    #: Key on the command line and in results.
    name: str
    #: For people.
    title: str

    @abstractmethod
    def program(self) -> Path | None:
        """The executable; None when this machine has none."""

    @abstractmethod
    def version(self) -> str:
        """The version as a number."""

    @abstractmethod
    def command(self, site: Site, place: Place) -> list[str]:
        """Writes the configuration into `place.folder` and returns the command line."""

    def refusal(self, site: Site) -> str | None:
        """Why this peer can't do `site` in a natural way; None when it can."""
        del site
        return None

    def environment(self, site: Site, place: Place) -> dict[str, str]:
        """Environment variables to add."""
        del place
        return {}


def found(name: str) -> Path | None:
    """A program on the path or where system programs are."""
    path = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    return Path(path) if path else None


def version_of(program: Path | None, *options: str) -> str:
    """What `program options` prints that looks most like a version number; "?" if nothing does."""
    if program is None:
        return "?"
    try:
        said = subprocess.run(
            [str(program), *options], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    return version_in(said.stdout + said.stderr)


def version_in(text: str) -> str:
    """The first number of three parts in `text`, else of two (a path may hold one of those)."""
    match = re.search(r"\d+\.\d+\.\d+", text) or re.search(r"\d+\.\d+", text)
    return match.group() if match else "?"
