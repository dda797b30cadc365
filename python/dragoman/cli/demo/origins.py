"""The demo's origins: three small HTTP servers in a process of their own.

`python -m dragoman.cli.demo.origins` prints their ports as one line of JSON and serves until it
is ended. Knows nothing of the proxy.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from functools import partial

from dragoman.cli.demo.layout import ORIGINS

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
#: Not nothing: a proxy may try again where a connection ends before the first byte.
_TORN = b"HTTP/1.1 200 OK\r\ncontent-le"

#: Waits as long as it likes, then gives what to send.
Answer = Callable[[], Awaitable[bytes]]


async def steady() -> bytes:
    """Some 2 ms, always 200."""
    await asyncio.sleep(_around(0.002, 0.35))
    return _OK


async def slow() -> bytes:
    """Some 5 ms, but one in 25 takes 200 to 400 ms."""
    tail = random.random() < 0.04
    await asyncio.sleep(random.uniform(0.2, 0.4) if tail else _around(0.005, 0.5))
    return _OK


async def failing() -> bytes:
    """Some 3 ms; one in 20 is a 503, one in 200 a connection reset."""
    await asyncio.sleep(_around(0.003, 0.4))
    luck = random.random()
    return _TORN if luck < 0.005 else _BUSY if luck < 0.055 else _OK


def _around(median_s: float, sigma: float) -> float:
    return median_s * random.lognormvariate(0.0, sigma)


ANSWERS: dict[str, Answer] = {"steady": steady, "slow": slow, "failing": failing}


async def converse(
    answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection: requests without bodies, in turn, until either side ends it."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            reply = await answer()
            writer.write(reply)
            await writer.drain()
            if reply is _TORN:
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.transport.abort()


async def serve() -> None:
    """Starts all of them, says where they are, and serves until cancelled."""
    ports = {}
    for name in ORIGINS:
        server = await asyncio.start_server(partial(converse, ANSWERS[name]), "127.0.0.1", 0)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
