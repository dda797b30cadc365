"""The demo from its start to its end: origins, proxy, traffic, looking at it, all ended again."""

import asyncio
import os
import signal
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import NamedTuple

from dragoman.cli.demo.client import AnswerError, Client
from dragoman.cli.demo.display import Display, best_display
from dragoman.cli.demo.layout import ROUTES, turns
from dragoman.cli.demo.metrics import PERCENTILES, TARGET, Look, read, rows
from dragoman.cli.demo.processes import DemoError, Proxy, origins, proxy
from dragoman.cli.demo.table import Board
from dragoman.cli.demo.traffic import Traffic
from dragoman.cli.proxy import Address

_LOOK_EVERY_S = 1.0
_HISTORY = 600
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Plan(NamedTuple):
    """For how long, how many requests a second, and where the admin page is to be (port 0: any)."""

    seconds: int
    rate: int
    admin: Address


def run(plan: Plan) -> int:
    """The whole demo. Returns 0 once it is over or a user has ended it, 1 if it can't go on."""
    try:
        asyncio.run(_until_told(plan))
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _until_told(plan: Plan) -> None:
    """Runs the demo; a signal cancels it, once, which ends everything in order."""
    loop = asyncio.get_running_loop()
    demo = asyncio.create_task(_demo(plan))

    def end() -> None:
        for number in _SIGNALS:
            loop.add_signal_handler(number, _already_ending)
        demo.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    await asyncio.wait([demo])
    if not demo.cancelled():
        demo.result()


def _already_ending() -> None:
    """A second Ctrl-C must not keep the children from being ended."""


async def _demo(plan: Plan) -> None:
    with tempfile.TemporaryDirectory(prefix="dragoman-demo-") as folder:
        async with (
            origins() as ports,
            proxy(ports, plan.admin, Path(folder)) as running,
        ):
            traffic = Traffic(Client(*running.listener), _targets(), plan.rate)
            sending = asyncio.create_task(traffic.run())
            try:
                await _Watch(plan, ports, running, traffic).run()
            finally:
                sending.cancel()
                await asyncio.wait([sending])
            if not sending.cancelled():
                sending.result()


def _url(at: Address) -> str:
    return f"http://[{at.host}]:{at.port}" if ":" in at.host else f"http://{at.host}:{at.port}"


def _targets() -> list[str]:
    return [f"/{name}" for name in turns(ROUTES)]


def _close(display: Display, board: Board | None) -> None:
    try:
        display.close(board)
        sys.stdout.flush()
    except OSError:
        # What is still buffered would be tried again, and complained of, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Watch:
    """Looks at the proxy again and again, and shows what it sees."""

    def __init__(self, plan: Plan, ports: dict[str, int], running: Proxy, traffic: Traffic) -> None:
        self._plan = plan
        self._ports = ports
        self._proxy = running
        self._traffic = traffic
        self._client = Client(*running.admin)
        self._history: dict[str, deque[float | None]] = {
            route.name: deque(maxlen=_HISTORY) for route in ROUTES
        }

    async def run(self) -> None:
        """Until the plan's time is over, nobody reads any more, or cancelled. Raises DemoError."""
        display = best_display()
        board = None
        try:
            first = before = await self._look()
            while before.at_s < first.at_s + self._plan.seconds:
                await asyncio.sleep(_LOOK_EVERY_S)
                now = await self._look()
                board = self._board(first, before, now)
                display.show(board)
                before = now
        except OSError:
            # Nobody reads any more, which is a way of ending it.
            board = None
        finally:
            self._client.close()
            _close(display, board)

    async def _look(self) -> Look:
        self._proxy.check()
        try:
            status, body = await self._client.get(TARGET)
        except AnswerError as error:
            await asyncio.sleep(0)
            self._proxy.check()
            raise DemoError(f"the admin page doesn't answer: {error}") from None
        if status != 200:
            raise DemoError(f"the admin page answers with status {status}")
        return read(body, asyncio.get_running_loop().time())

    def _board(self, first: Look, before: Look, now: Look) -> Board:
        table = rows(ROUTES, self._ports, first, before, now)
        for row in table:
            if not row.endpoint:
                self._history[row.route].append(row.recent.percentiles[PERCENTILES.index(99.0)])
        minutes, seconds = divmod(round(now.at_s - first.at_s), 60)
        facts = [
            ("admin page", _url(self._proxy.admin)),
            ("proxy", _url(self._proxy.listener) + "/mixed"),
            ("its configuration", str(self._proxy.config)),
        ]
        requests = f"{self._traffic.sent:,} requests, {self._traffic.failed:,} failed"
        title = f"dragoman demo   {minutes}:{seconds:02}   {requests}   (Ctrl-C ends it)"
        return Board(title, facts, table, self._history)
