"""The demo's child processes: the origins and the proxy, started in order, ended for sure.

They are in sessions of their own, so that Ctrl-C reaches the demo alone, and end with it even if
it is killed.
"""

import asyncio
import ctypes
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, NamedTuple

from dragoman.cli.demo.client import AnswerError, Client
from dragoman.cli.demo.layout import configuration
from dragoman.cli.proxy import Address, target

_START_S = 20.0
_STEP_S = 0.05
_END_S = 5.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class DemoError(Exception):
    """The demo can't go on; the text says why, for a user."""


class Proxy(NamedTuple):
    """The running proxy."""

    process: Process
    admin: Address
    listener: Address
    config: Path
    log: Path

    def check(self) -> None:
        """Raises DemoError if it has ended."""
        if self.process.returncode is not None:
            raise DemoError(_ended(self.process.returncode, self.log))


@asynccontextmanager
async def origins() -> AsyncIterator[dict[str, int]]:
    """Starts the origins; gives name -> port on 127.0.0.1. Raises DemoError."""
    process = await _start("dragoman.cli.demo.origins", stdout=PIPE, stderr=None)
    try:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise DemoError("the origins did not start")
        yield json.loads(line)
    finally:
        await _end(process)


@asynccontextmanager
async def proxy(ports: dict[str, int], admin: Address, folder: Path) -> AsyncIterator[Proxy]:
    """Starts a proxy before the origins at `ports`; its files are in `folder`. Raises DemoError."""
    config, log, where = folder / "envoy.yaml", folder / "log", folder / "admin"
    config.write_text(configuration(ports, 0, admin))
    with log.open("w") as output:
        process = await _start(
            *("dragoman", "run", "-c", str(config), "--concurrency", "1"),
            *("--admin-address-path", str(where)),
            stdout=DEVNULL,
            stderr=output,
        )
    try:
        admin = await _admin_of(process, where, log)
        listener = await _listener_of(admin)
        yield Proxy(process, admin, listener, config, log)
    finally:
        await _end(process)


async def _start(*words: str, stdout: int, stderr: IO[str] | None) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        stdin=DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _admin_of(process: Process, where: Path, log: Path) -> Address:
    """Waits until the proxy is ready; gives its admin page's address."""
    for _ in range(int(_START_S / _STEP_S)):
        if process.returncode is not None:
            raise DemoError(_ended(process.returncode, log))
        text = _text_of(where)
        if text and await _ready(target(text)):
            return target(text)
        await asyncio.sleep(_STEP_S)
    raise DemoError(f"the proxy was not ready after {_START_S:.0f} seconds\n{_tail(log)}")


def _text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def _ready(admin: Address) -> bool:
    client = Client(*admin)
    try:
        return (await client.get("/ready"))[0] == 200
    except AnswerError:
        return False
    finally:
        client.close()


async def _listener_of(admin: Address) -> Address:
    client = Client(*admin)
    try:
        _, body = await client.get("/listeners")
    except AnswerError as error:
        raise DemoError(f"the admin page doesn't list the listeners: {error}") from None
    finally:
        client.close()
    return target(body.decode().strip().rpartition("::")[2])


def _ended(code: int, log: Path) -> str:
    return f"the proxy ended with code {code}\n{_tail(log)}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
