"""The control thread's event loop: signals, timers, the engine's log records, the admin page.

By the time it runs, connections are being accepted (or will be once clusters are resolved), so
everything that is slow to import is imported here and below.
"""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

from dragoman.server import secrets
from dragoman.server.logs import forward
from dragoman.server.process import Admin, Process

_log = logging.getLogger("dragoman.main")

_LOGS_EVERY_S = 0.25
_INITIALIZE_STEP_S = 60.0


async def run(process: Process, admin: Admin | None) -> None:
    """Serves until a signal or the admin page ends it, then ends the workers.

    Raises:
        Exception: whatever ended one of the loop's own tasks.
    """
    ended = asyncio.Event()
    process.on_quit = ended.set
    process.stop_listening_later = _stop_listening_later(process)
    _handle_signals(process, ended)
    jobs: list[Coroutine[Any, Any, None]] = [
        _initialize(process),
        _flush(process),
        _pump_logs(process),
        _look_after_secrets(process),
    ]
    if admin is not None:
        process.admin_log = admin.log
        jobs.append(_serve_admin(process, admin, ended))
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(lambda done: _end_on_failure(done, ended))
    await ended.wait()
    _log.info("shutting down")
    await asyncio.to_thread(process.engine.stop)
    for task in tasks[: len(tasks) - (admin is not None)]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    forward(process.engine.take_logs())
    for result in results:
        if isinstance(result, Exception):
            raise result


def _end_on_failure(task: asyncio.Task[None], ended: asyncio.Event) -> None:
    if not task.cancelled() and task.exception() is not None:
        ended.set()


def _stop_listening_later(process: Process) -> Any:
    loop = asyncio.get_running_loop()

    def later(delay_s: float, inbound_only: bool) -> None:
        loop.call_later(delay_s, lambda: process.engine.stop_listening(inbound_only=inbound_only))

    return later


def _handle_signals(process: Process, ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def end(name: str) -> None:
        _log.warning("caught %s", name)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    loop.add_signal_handler(signal.SIGUSR1, process.reopen_logs)


async def _initialize(process: Process) -> None:
    """Starts the workers once every cluster was resolved; done already if none needs it."""
    while process.state == "INITIALIZING":
        wait = process.engine.wait_initialized
        if await asyncio.to_thread(wait, _INITIALIZE_STEP_S):
            process.go_live()


class _Chore:
    """Something done again and again: when it fails, the proxy serves on, and it is tried again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_failing = False

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: Any, _: object) -> bool:
        if kind is None:
            self._is_failing = False
            return False
        if not issubclass(kind, Exception):
            return False
        if not self._is_failing:
            _log.error("%s failed, and is tried again: %s: %s", self._name, kind.__name__, error)
        self._is_failing = True
        return True


async def _flush(process: Process) -> None:
    chore = _Chore("flushing statistics")
    while True:
        await asyncio.sleep(process.flush_every_s)
        with chore:
            process.flush_stats()


async def _pump_logs(process: Process) -> None:
    chore = _Chore("writing logs")
    while True:
        with chore:
            forward(process.engine.take_logs())
        await asyncio.sleep(_LOGS_EVERY_S)


async def _look_after_secrets(process: Process) -> None:
    chore = _Chore("looking at secrets' files")
    while process.secrets:
        await asyncio.sleep(secrets.EVERY_S)
        with chore:
            await asyncio.to_thread(process.secrets.poll)


async def _serve_admin(process: Process, admin: Admin, ended: asyncio.Event) -> None:
    # Slower to import than all the rest of the start; until then connections queue.
    from dragoman.admin.app import make_app
    from dragoman.admin.serve import AdminServer

    server = AdminServer(make_app(process, admin.access, admin.log), admin.socket)
    serving = asyncio.create_task(server.run())
    stopping = asyncio.create_task(ended.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()
    await serving
    admin.log.close()
