"""The demo's traffic: requests at a fixed rate, however long the answers take (up to a bound)."""

import asyncio
import itertools
from collections.abc import Sequence

from dragoman.cli.demo.client import AnswerError, Client

_MOST_AT_ONCE = 256


class Traffic:
    """Sends `rate` requests a second to `targets` in turn.

    Attributes:
        sent: requests so far.
        failed: those that were answered with 5xx, or not properly.
    """

    def __init__(self, client: Client, targets: Sequence[str], rate: int) -> None:
        self.sent = 0
        self.failed = 0
        self._client = client
        self._targets = targets
        self._rate = rate
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until cancelled, then drops what is open."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            for target in itertools.cycle(self._targets):
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                # After a pause of the whole machine: no burst to make up for it.
                due = max(due, loop.time() - 0.1)
                if len(self._open) < _MOST_AT_ONCE:
                    task = asyncio.create_task(self._request(target))
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            self._client.close()

    async def _request(self, target: str) -> None:
        self.sent += 1
        try:
            status, _ = await self._client.get(target)
        except AnswerError:
            status = 599
        self.failed += status >= 500
