"""The Rust origin and load generator (bench/load), started from Python. Reads their JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.process import started

CRATE = Path(__file__).parent / "load"
SPARE_SECONDS = 60.0


@dataclass(frozen=True)
class Drive:
    """How the load is made. Sizes in bytes; `headers` realistic headers on each request and answer.

    per_connection: requests on a connection before it is closed; 0 keeps it.
    serials: each answer must carry its own request's number.
    check_body: the bytes of bodies are compared, not only counted.
    streams: requests at once on each HTTP/2 connection; 0 for HTTP/1.1.
    grpc: unary calls; the body's bytes are a message with its length in front.
    """

    connections: int = 32
    headers: int = 0
    body_bytes: int = 0
    response_bytes: int = 128
    per_connection: int = 0
    serials: bool = False
    check_body: bool = False
    streams: int = 0
    grpc: bool = False

    def request_options(self, port: int, targets: Path) -> list[str]:
        """The options of `drive` and `hold`."""
        return [
            *("--port", str(port), "--targets", str(targets)),
            *("--connections", str(self.connections), "--headers", str(self.headers)),
            *("--body-bytes", str(self.body_bytes), "--expect-bytes", str(self.response_bytes)),
            *("--per-connection", str(self.per_connection)),
            *("--serials", str(int(self.serials)), "--check-body", str(int(self.check_body))),
            *("--streams", str(self.streams), "--grpc", str(int(self.grpc))),
        ]


@dataclass(frozen=True)
class Outcome:
    """What `drive` counted. Latencies in µs; `failures` names each kind that occurred."""

    requests: int
    seconds: float
    per_second: float
    p50: float
    p90: float
    p99: float
    failures: dict[str, int]


def parse_outcome(line: str) -> Outcome:
    """Reads the line that `drive` prints; raises `BenchError` when it is not one."""
    try:
        told: dict[str, Any] = json.loads(line)
        latency = told["latency_us"]
        ends = {name: count for name, count in told["ends"].items() if count and name != "ok"}
        return Outcome(
            requests=told["requests"],
            seconds=told["seconds"],
            per_second=told["per_second"],
            p50=latency["p50"],
            p90=latency["p90"],
            p99=latency["p99"],
            failures=ends,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"the load generator said {line!r}") from error


def build() -> Path:
    """Builds the generator when needed and returns the program; BENCH_LOAD_BIN overrides."""
    given = os.environ.get("BENCH_LOAD_BIN")
    if given:
        return Path(given)
    command = ["cargo", "build", "--release", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=CRATE, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        raise BenchError("the load generator does not build (bench/load)")
    for line in built.stdout.splitlines():
        program = json.loads(line).get("executable")
        if program:
            return Path(program)
    raise BenchError("cargo named no program for bench/load")


@dataclass(frozen=True)
class Generator:
    """The built program and the core it runs on; with `ca` it speaks TLS."""

    program: Path
    core: int
    folder: Path
    ca: Path | None = None

    def _tls(self) -> list[str]:
        return ["--ca", str(self.ca)] if self.ca else []

    @contextlib.contextmanager
    def origin(self, drive: Drive) -> Iterator[int]:
        """An origin that answers as `drive` expects; gives its port."""
        command = [
            *(str(self.program), "origin", "--response-bytes", str(drive.response_bytes)),
            *("--headers", str(drive.headers), "--check-body", str(int(drive.check_body))),
            *("--grpc", str(int(drive.grpc))),
        ]
        log = self.folder / "origin.log"
        with started(command, cores={self.core}, log=log, piped=True) as running:
            assert running.popen.stdout is not None
            line = running.popen.stdout.readline()
            running.check_alive()
            yield int(json.loads(line)["port"])

    def drive(self, drive: Drive, port: int, targets: Path, until: list[str]) -> Outcome:
        """Makes the load until it is done; `until` is `--seconds S` or `--requests N`."""
        command = [
            *(str(self.program), "drive", *drive.request_options(port, targets)),
            *self._tls(),
            *until,
        ]
        limit = SPARE_SECONDS + (float(until[1]) if until[0] == "--seconds" else 86_400.0)
        with started(
            command, cores={self.core}, log=self.folder / "drive.log", piped=True
        ) as running:
            try:
                line, _ = running.popen.communicate(timeout=limit)
            except subprocess.TimeoutExpired as error:
                raise BenchError("the load generator did not finish") from error
        return parse_outcome(line)

    @contextlib.contextmanager
    def hold(self, drive: Drive, port: int, targets: Path, connections: int) -> Iterator[None]:
        """Holds idle connections, each having been answered once, while the block runs."""
        many = replace(drive, connections=connections)
        options = many.request_options(port, targets)
        command = [str(self.program), "hold", *options, *self._tls()]
        with started(
            command, cores={self.core}, log=self.folder / "hold.log", piped=True
        ) as running:
            assert running.popen.stdout is not None
            line = running.popen.stdout.readline()
            if not line:
                running.popen.wait()
                running.check_alive()
            if json.loads(line)["held"] != connections:
                raise BenchError(f"not {connections} connections held: {line.strip()}")
            yield
