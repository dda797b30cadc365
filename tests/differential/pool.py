"""Runs many cases at once, a few at a time: most of a case is waiting.

One event loop in a thread of its own, so that pytest can wait for one case after another while
the rest goes on. Must not know what a case is.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Protocol, TypeVar

AT_ONCE = int(os.environ.get("DIFFERENTIAL_AT_ONCE", "4"))
CASE_LIMIT = 60.0


class Named(Protocol):
    """Anything with a unique name."""

    name: str


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")


def start_all(
    items: Iterable[Item], run: Callable[[Item], Awaitable[Result]]
) -> dict[str, Future[Result]]:
    """Starts every item in the background; a future for each name."""
    chosen = list(items)
    futures: dict[str, Future[Result]] = {item.name: Future() for item in chosen}

    async def everything() -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(item: Item) -> None:
            async with gate:
                try:
                    result = await asyncio.wait_for(run(item), CASE_LIMIT)
                except BaseException as error:
                    futures[item.name].set_exception(error)
                else:
                    futures[item.name].set_result(result)

        await asyncio.gather(*(one(item) for item in chosen))

    threading.Thread(target=lambda: asyncio.run(everything()), daemon=True).start()
    return futures


def run_all(items: Iterable[Item], run: Callable[[Item], Awaitable[Result]]) -> dict[str, Result]:
    """Runs every item; results by name, in the items' order. The first error is raised."""
    return {name: future.result() for name, future in start_all(items, run).items()}
