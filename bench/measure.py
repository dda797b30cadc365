"""One measurement: a peer is started, loaded, read and ended; the result is a `Sample`.

Each kind of work has one function here. It decides nothing about rounds, medians or output.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from bench.errors import BenchError
from bench.generator import Drive, Generator
from bench.machine import Cores, busy_ns, free_port
from bench.peers import Peer
from bench.process import Running, started
from bench.site import Place
from bench.works import Kind, Work

#: A measurement's figures by metric name; figures.py says what each means.
Sample = dict[str, float]

READY_SECONDS = 30.0
SETTLE_SECONDS = 2.0
STARTS = 5
MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How long and how much. Times in seconds."""

    rounds: int = 3
    seconds: float = 4.0
    warm_up: float = 1.0
    idle_connections: int = 5000


@dataclass(frozen=True)
class Bench:
    """Everything a measurement needs besides the work and the peer."""

    cores: Cores
    settings: Settings
    program: Path


@dataclass(frozen=True)
class Stage:
    """A peer up and running between the load and the origin."""

    bench: Bench
    work: Work
    generator: Generator
    running: Running
    place: Place
    targets: Path
    listening: float
    answering: float

    def drive(self, seconds: float, drive: Drive | None = None) -> Sample:
        """Makes load for `seconds`; gives requests, rates, latencies (µs) and failures."""
        until = ["--seconds", str(seconds)]
        drive = drive or self.work.drive
        outcome = self.generator.drive(drive, self.place.listen, self.targets, until)
        self.running.check_alive()
        return {
            "requests": outcome.requests,
            "seconds": outcome.seconds,
            "per_second": outcome.per_second,
            "p50_us": outcome.p50,
            "p90_us": outcome.p90,
            "p99_us": outcome.p99,
            "failures": sum(outcome.failures.values()),
        }

    @contextlib.contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Keeps `count` connections idle that had one request answered each."""
        if count == 0:
            yield
            return
        with self.generator.hold(self.work.drive, self.place.listen, self.targets, count):
            time.sleep(SETTLE_SECONDS)
            yield
            self.running.check_alive()


def ask_once(port: int, target: tuple[str, str]) -> bool:
    """One GET on an own connection: True when it is answered with 200.

    Raises `OSError` while nobody listens.
    """
    host, path = target
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        return client.recv(4096).split(b" ", 2)[1:2] == [b"200"]


def ask_as_driven(generator: Generator, drive: Drive, port: int, targets: Path) -> bool:
    """The same in the load's own way, for what isn't plain HTTP/1.1."""
    outcome = generator.drive(
        replace(drive, connections=1, streams=min(1, drive.streams)),
        port,
        targets,
        ["--requests", "1"],
    )
    return not outcome.failures


def wait_ready(running: Running, port: int, ask: Callable[[], bool]) -> tuple[float, float]:
    """Waits for the first accepted connection and the first 200.

    Returns both moments of the monotonic clock; raises `BenchError` when they don't come.
    """
    give_up = time.monotonic() + READY_SECONDS
    listening = 0.0
    while time.monotonic() < give_up:
        running.check_alive()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5.0):
                listening = listening or time.monotonic()
            if ask():
                return listening, time.monotonic()
        except OSError:
            pass
        time.sleep(0.0003)
    raise BenchError(f"{running.name} did not answer with 200 within {READY_SECONDS:.0f} s")


def make_certificate(place: Place) -> None:
    """A certificate for the load's name, and who signed it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(place.ca)
    issued = authority.issue_cert("bench.example.com", key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(place.certificate)


@contextlib.contextmanager
def stage(bench: Bench, work: Work, peer: Peer) -> Iterator[Stage]:
    """Starts origin and peer for a work, waits for the first answer, ends both, removes files."""
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        targets = folder / "targets"
        pairs = work.site.targets()
        targets.write_text("".join(f"{host} {path}\n" for host, path in pairs))
        generator = Generator(bench.program, bench.cores.load, folder)
        with generator.origin(work.drive) as origin:
            place = Place(free_port(), origin, free_port(), folder)
            if work.site.tls:
                make_certificate(place)
                generator = replace(generator, ca=place.ca)
            command = peer.command(work.site, place)
            begun = time.monotonic()
            with started(
                command,
                cores=bench.cores.of(work.site.workers),
                log=folder / "proxy.log",
                environment=peer.environment(work.site, place),
            ) as running:
                if work.site.tls or work.site.http2:
                    ask = partial(ask_as_driven, generator, work.drive, place.listen, targets)
                else:
                    ask = partial(ask_once, place.listen, pairs[-1])
                listening, answering = wait_ready(running, place.listen, ask)
                times = (listening - begun, answering - begun)
                yield Stage(bench, work, generator, running, place, targets, *times)


def measure_requests(bench: Bench, work: Work, peer: Peer) -> Sample:
    """CPU time per request under closed-loop load."""
    with stage(bench, work, peer) as up, up.hold(work.idle):
        if bench.settings.warm_up > 0:
            up.drive(bench.settings.warm_up)
        core = bench.cores.proxy
        stat = Path("/proc/stat")
        before, busy_before = up.running.cpu(), busy_ns(stat.read_text(), core)
        sample = up.drive(bench.settings.seconds)
        used = up.running.cpu().since(before)
        busy = busy_ns(stat.read_text(), core) - busy_before
        memory = up.running.memory()
    requests = sample.pop("requests")
    wall = sample.pop("seconds") * 1e9
    if requests == 0:
        raise BenchError("no request was made")
    return sample | {
        "cpu_us": used.total / requests / 1e3,
        "user_us": used.user / requests / 1e3,
        "system_us": used.system / requests / 1e3,
        "proxy_busy": used.total / wall,
        "others_busy": max(0.0, (busy - used.total) / wall),
        "rss_mib": memory.rss / MIB,
    }


def measure_idle(bench: Bench, work: Work, peer: Peer) -> Sample:
    """Growth of anonymous memory per idle connection that has had one request answered."""
    count = bench.settings.idle_connections
    with stage(bench, work, peer) as up:
        # Lets pools, heaps and caches reach their working size, so that they are not counted.
        up.drive(max(1.0, bench.settings.warm_up))
        time.sleep(0.5)
        before = up.running.memory()
        with up.hold(count):
            after = up.running.memory()
    return {
        "bytes_per_connection": (after.anonymous - before.anonymous) / count,
        "rss_mib": after.rss / MIB,
        "rss_before_mib": before.rss / MIB,
    }


def measure_start(bench: Bench, work: Work, peer: Peer) -> Sample:
    """Several starts in a row: times in ms and memory after the first answer."""
    listening, answering, memory = [], [], []
    for _ in range(STARTS):
        with stage(bench, work, peer) as up:
            listening.append(up.listening * 1e3)
            answering.append(up.answering * 1e3)
            memory.append(up.running.memory())
    return {
        "listen_ms": statistics.median(listening),
        "answer_ms": statistics.median(answering),
        "rss_mib": statistics.median(part.rss for part in memory) / MIB,
        "pss_mib": statistics.median(part.pss for part in memory) / MIB,
    }


MEASURES: dict[Kind, Callable[[Bench, Work, Peer], Sample]] = {
    Kind.REQUESTS: measure_requests,
    Kind.IDLE: measure_idle,
    Kind.START: measure_start,
}
