"""Runs batches of cases, a few batches at a time: most of a case is waiting.

One event loop in a thread of its own, so that pytest can wait for one case after another while
the rest goes on. Must not know what a case is, beyond its name.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

BATCHES_AT_ONCE = int(os.environ.get("DIFFERENTIAL_AT_ONCE", "3"))
BATCH_LIMIT = 100.0


class Named(Protocol):
    """Anything with a unique name."""

    name: str


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")


def start_all(
    batches: list[list[Item]], run: Callable[[list[Item]], Awaitable[list[Result]]]
) -> dict[str, Future[Result]]:
    """Starts every batch in the background; a future for each item's name.

    `run` gives one result for each item of a batch, in its order.
    """
    futures: dict[str, Future[Result]] = {item.name: Future() for b in batches for item in b}

    async def one(batch: list[Item], gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                results = await asyncio.wait_for(run(batch), BATCH_LIMIT)
            except BaseException as error:
                for item in batch:
                    futures[item.name].set_exception(error)
            else:
                for item, result in zip(batch, results, strict=True):
                    futures[item.name].set_result(result)

    async def everything() -> None:
        gate = asyncio.Semaphore(BATCHES_AT_ONCE)
        await asyncio.gather(*(one(batch, gate) for batch in batches))

    threading.Thread(target=lambda: asyncio.run(everything()), daemon=True).start()
    return futures


def run_all(
    batches: list[list[Item]], run: Callable[[list[Item]], Awaitable[list[Result]]]
) -> dict[str, Result]:
    """Runs every batch; results by name, in order. The first error is raised."""
    return {name: future.result() for name, future in start_all(batches, run).items()}
