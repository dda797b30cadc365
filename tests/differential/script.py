"""Plays a case's script: what clients send, what the origin answers, what is waited for.

A step is a mapping; its first known verb decides. Steps run in order, so a transcript has one
meaning. Must not know which proxy it talks to, nor judge what comes back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from . import http2
from .client import Connection
from .content import CaseError, to_bytes
from .origin import Answer, Origin
from .proxy import http_get
from .tls import check_tls

Step = dict[str, Any]
VERBS = (
    "get", "request", "send", "receive", "prepare", "half_close", "close", "reset", "pause_ms",
    "wait", "origin_does", "connect", "admin", "listen", "curl", "frames",
)  # fmt: skip
DETAILS = {
    "client", "answer", "answer_at_head", "answer_on_connect", "origin", "expect", "responses",
    "times", "method", "version", "host", "headers", "connection", "each", "tls", "from",
    "answer_after", "raw", "first", "deaf", "to",
}  # fmt: skip
WAIT_LIMIT = 5.0


def parts_of(value: Any) -> list[Any]:
    """An answer as a list of parts; nothing for None."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def get_bytes(step: Step) -> bytes:
    """The bytes of a `get:` step: method, host and headers with their defaults."""
    lines = [f"{step.get('method', 'GET')} {step['get']} {step.get('version', 'HTTP/1.1')}"]
    if step.get("host", "a.example") is not None:
        lines.append(f"host: {step.get('host', 'a.example')}")
    headers = step.get("headers", {})
    pairs = headers.items() if isinstance(headers, dict) else headers
    lines += [f"{name}: {value}" for name, value in pairs]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def check_step(step: Any) -> str:
    """The step's verb. Raises CaseError on a step without one, or with a key unknown here."""
    if not isinstance(step, dict):
        raise CaseError(f"a step is a mapping: {step!r}")
    verbs = [verb for verb in VERBS if verb in step]
    unknown = {key for key in step if key not in VERBS and key not in DETAILS}
    if len(verbs) != 1 or unknown:
        raise CaseError(f"step {step!r}: one verb of {VERBS}; unknown here: {unknown or 'none'}")
    check_tls(step.get("tls", False))
    return verbs[0]


class Player:
    """Runs one script against one proxy. `connections` and `origins` hold what was seen."""

    def __init__(
        self,
        where: int | str,
        origins: dict[str, Origin],
        tls: dict[str, Any] | None = None,
        raw: bool = False,
    ) -> None:
        self.where = where
        self.origins = origins
        self.tls = tls
        self.raw = raw
        self.admin_port = 0
        #: further ports and sockets of the proxy, by their placeholders' names
        self.places: dict[str, int | str] = {}
        self.connections: dict[str, Connection] = {}

    async def play(self, script: list[Step]) -> None:
        """Every step in order. Raises CaseError on a step without a known verb."""
        for step in script:
            for _ in range(int(step.get("times", 1))):
                if "each" in step:
                    await self._each(step)
                else:
                    await self._verb(step)(step)

    async def _each(self, step: Step) -> None:
        """A request per value of `each`, put where {each} stands, each on its own connection."""
        common = {key: value for key, value in step.items() if key != "each"}
        for number, value in enumerate(step["each"], 1):
            shown = value if isinstance(value, str) else json.dumps(value)
            shown = shown.encode("unicode_escape").decode("ascii")[:100]
            name = f"{step.get('client', 'v')}{number} [{shown}]"
            verb = check_step(common)
            data = to_bytes(common[verb]).replace(b"{each}", to_bytes(value))
            await self._verb(common)({**common, verb: [{"hex": data.hex()}], "client": name})

    def _verb(self, step: Step) -> Callable[[Step], Awaitable[None]]:
        verb = check_step(step)
        run: Callable[[Step], Awaitable[None]] = getattr(self, f"_{verb}")
        return run

    async def _connection(self, name: str, step: Step) -> Connection:
        if name not in self.connections:
            connection = self.connections[name] = Connection(name, step.get("raw", self.raw))
            where = self.places[step["to"]] if "to" in step else self.where
            await connection.open(where, step.get("from"))
            if "first" in step:
                await connection.send(to_bytes(step["first"]))
                connection.sent.clear()  # no part of the conversation
            tls = step.get("tls", False if self.tls is None else {})
            if tls is not False:
                wanted = {**(self.tls or {}), **tls}
                await connection.start_tls(wanted, self.connections.get(wanted.get("resume", "")))
            if not step.get("deaf"):
                connection.listen()
        return self.connections[name]

    def _origin(self, step: Step) -> Origin:
        return self.origins[step.get("origin", "origin")]

    def _answer(self, step: Step) -> None:
        answer = Answer(
            complete=parts_of(step.get("answer")),
            head=parts_of(step.get("answer_at_head")),
            connect=parts_of(step.get("answer_on_connect")),
            after=step.get("answer_after", 1),
        )
        if answer.complete or answer.head or answer.connect:
            self._origin(step).answers.append(answer)

    async def _get(self, step: Step) -> None:
        await self._exchange(step, get_bytes(step))

    async def _request(self, step: Step) -> None:
        await self._exchange(step, to_bytes(step["request"]))

    async def _exchange(self, step: Step, data: bytes) -> None:
        connection = await self._connection(step.get("client", "c1"), step)
        self._answer(step)
        await connection.send(data)
        await self._expect(connection, step.get("expect", "response"), step)
        if step.get("expect") != "nothing":
            # An answer that was never asked for must not be given to the next request.
            for origin in self.origins.values():
                origin.answers.clear()

    async def _curl(self, step: Step) -> None:
        """A real client, for what this one doesn't speak; {url} in its words is the proxy's."""
        name = step.get("client", f"curl {len(self.connections) + 1}")
        connection = self.connections[name] = Connection(name)
        self._answer(step)
        url = f"http://127.0.0.1:{self.where}"
        words = [str(word).replace("{url}", url) for word in step["curl"]]
        await connection.curl(["-sS", "-i", "--max-time", "5", *words])

    async def _frames(self, step: Step) -> None:
        """Frames of HTTP/2; until every stream that they name, or the connection, has ended."""
        name = step.get("client", "c1")
        known = name in self.connections
        connection = await self._connection(name, {**step, "raw": False})
        self._answer(step)
        try:
            data = b"".join(http2.write(one, to_bytes) for one in step["frames"])
        except ValueError as error:
            raise CaseError(str(error)) from error
        if not known:
            data = http2.PREFACE + http2.frame(http2.KINDS["SETTINGS"]) + data
        connection.http2 = True
        await connection.send(data)
        await self._expect(connection, step.get("expect", {"streams": http2.named(data)}), step)

    async def _expect(self, connection: Connection, what: Any, step: Step) -> None:
        if what == "nothing":
            return
        if what == "response":
            for _ in range(int(step.get("responses", 1))):
                await connection.wait(connection.take_response, "a response")
        elif what == "close":
            await connection.wait(lambda: connection.ended, "the proxy to close")
        elif what == "reset":
            await connection.wait(lambda: "RST received" in connection.look(), "a RST", poll=0.02)
        elif isinstance(what, dict) and "text" in what:
            text = to_bytes({"raw": what["text"]})
            await connection.wait(lambda: text in connection.received, f"{what['text']!r}")
        elif isinstance(what, dict) and "streams" in what:
            wanted = set(what["streams"])
            await connection.wait(
                lambda: connection.ended or wanted <= http2.ended(bytes(connection.received)),
                f"the end of streams {sorted(wanted)}",
            )
        elif isinstance(what, dict) and "bytes" in what:
            size = what["bytes"]
            await connection.wait(lambda: len(connection.received) >= size, f"{size} bytes")
        else:
            known = "response, close, reset, nothing, {text: …}, {bytes: …} or {streams: …}"
            raise CaseError(f"cannot expect {what!r}: {known}")

    async def _connect(self, step: Step) -> None:
        self._answer(step)
        await self._connection(step["connect"], step)

    async def _send(self, step: Step) -> None:
        connection = await self._connection(step.get("client", "c1"), step)
        self._answer(step)
        await connection.send(to_bytes(step["send"]))
        await self._expect(connection, step.get("expect", "nothing"), step)

    async def _receive(self, step: Step) -> None:
        connection = await self._connection(step.get("client", "c1"), step)
        await self._expect(connection, step["receive"], step)

    async def _prepare(self, step: Step) -> None:
        for answer in step["prepare"]:
            self._answer({"origin": step.get("origin", "origin"), **answer})

    async def _half_close(self, step: Step) -> None:
        (await self._connection(step["half_close"], step)).half_close()

    async def _close(self, step: Step) -> None:
        (await self._connection(step["close"], step)).close()

    async def _reset(self, step: Step) -> None:
        (await self._connection(step["reset"], step)).reset()

    async def _listen(self, step: Step) -> None:
        self.connections[step["listen"]].listen()

    async def _pause_ms(self, step: Step) -> None:
        await asyncio.sleep(step["pause_ms"] / 1000)

    async def _origin_does(self, step: Step) -> None:
        origin = self._origin(step)
        connection = origin.connections[step.get("connection", len(origin.connections)) - 1]
        await origin.play(connection, parts_of(step["origin_does"]))

    async def _admin(self, step: Step) -> None:
        await http_get(self.admin_port, step["admin"], verb="POST")

    async def _wait(self, step: Step) -> None:
        """Until the origin has seen what the step says; running out is left to the comparison."""
        origin, wanted = self._origin(step), step["wait"]
        text = to_bytes({"raw": wanted.get("text", "")})
        deadline = asyncio.get_running_loop().time() + wanted.get("limit", WAIT_LIMIT)
        while asyncio.get_running_loop().time() < deadline:
            ended = [c for c in origin.connections if c.ended]
            size = sum(len(c.received) for c in origin.connections)
            if (
                origin.requests >= wanted.get("requests", 0)
                and len(origin.connections) >= wanted.get("connections", 0)
                and len(ended) >= wanted.get("ended", 0)
                and size >= wanted.get("bytes", 0)
                and (not text or any(text in c.received for c in origin.connections))
            ):
                return
            origin.changed.clear()
            try:
                await asyncio.wait_for(origin.changed.wait(), 0.2)
            except TimeoutError:
                continue
