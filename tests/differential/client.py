"""The harness's HTTP/1.1 client: sends exact bytes, records exact bytes, knows message ends.

It must not know of cases or proxies; waits are bounded by `LIMIT` seconds, and a wait that runs
out is recorded as an event of the conversation, not raised: it is a thing to compare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .framing import Incomplete, parse
from .origin import reset
from .raw import Ends, look_for_reset, pump
from .tls import Alerted, HandshakeFailed, TlsStream, make_context

LIMIT = 5.0


def request_methods(sent: bytes) -> list[str]:
    """The method of each request in a byte stream; the last may be incomplete."""
    methods = []
    while sent:
        methods.append(sent.split(b" ", 1)[0].decode("latin-1"))
        try:
            sent = sent[parse(sent, "request").size :]
        except Incomplete:
            break
    return methods


class Connection:
    """One client connection to the proxy under test. `raw` ones don't carry HTTP."""

    def __init__(self, name: str, raw: bool = False) -> None:
        self.name = name
        self.raw = raw
        self.ends = Ends()
        self.received = bytearray()
        self.end = "open"
        self.parsed = 0
        self.sent = bytearray()
        self.answered = 0
        self.notes: list[str] = []
        self.tls = ""
        #: what another client printed: heads and bodies
        self.told: bytes | None = None
        #: it speaks HTTP/2, frame by frame
        self.http2 = False
        self._changed = asyncio.Event()
        self._reader: asyncio.StreamReader | TlsStream | None = None
        self._writer: asyncio.StreamWriter | TlsStream | None = None
        self._pump: asyncio.Task[None] | None = None

    async def open(self, where: int | str, source: str | None = None) -> None:
        """Connects to a port of 127.0.0.1 or to a Unix socket; retries while it is coming up.

        `source` is the address to come from.
        """
        for attempt in range(100):
            try:
                if isinstance(where, str):
                    self._reader, self._writer = await asyncio.open_unix_connection(where)
                else:
                    self._reader, self._writer = await asyncio.open_connection(
                        "127.0.0.1", where, local_addr=(source, 0) if source else None
                    )
                return
            except (ConnectionRefusedError, FileNotFoundError):
                if attempt == 99:
                    raise
                await asyncio.sleep(0.02)

    async def curl(self, words: list[str]) -> None:
        """Lets curl talk to the proxy instead."""
        process = await asyncio.create_subprocess_exec(
            "curl", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self.told, _ = await process.communicate()
        self.end = "closed by client"

    async def start_tls(self, wanted: dict[str, Any], earlier: Connection | None) -> None:
        """A handshake; what came of it stands in `tls`. `earlier` has a session to resume."""
        assert isinstance(self._reader, asyncio.StreamReader)
        assert isinstance(self._writer, asyncio.StreamWriter)
        resumed = earlier._reader if earlier and isinstance(earlier._reader, TlsStream) else None
        stream = TlsStream(
            self._reader,
            self._writer,
            resumed.context if resumed else make_context(wanted, server=False),
            sni=wanted.get("sni"),
            session=resumed.session if resumed else None,
        )
        try:
            await asyncio.wait_for(stream.handshake(), LIMIT)
        except (HandshakeFailed, TimeoutError) as failure:
            self.tls = f"handshake failed: {str(failure) or 'gave up waiting'}"
            self.end = "closed in the handshake"
            self._writer.close()
        else:
            self.tls = stream.described
            self._reader = self._writer = stream

    def listen(self) -> None:
        """Begins to take what the proxy sends."""
        if not self.ended:
            self._pump = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._reader is not None
        ended = "closed by proxy"
        try:
            while data := await pump(self._reader, self._writer, self.ends):
                self.received += data
                self._changed.set()
        except Alerted as alert:
            self.tls += f"; then {alert}"
        except ConnectionError:
            ended = "reset by proxy"
        if isinstance(self._reader, TlsStream) and self._reader.cut and self.end == "open":
            self.tls += "; ended without close_notify"
        if self.end in ("open", "half-closed by client"):
            self.end = ended
        self._changed.set()

    async def send(self, data: bytes) -> None:
        """Writes; a proxy that has already closed is a recorded end, not an error."""
        assert self._writer is not None
        if self.end == "closed in the handshake":
            return
        self.sent += data
        try:
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), LIMIT)
        except ConnectionError:
            self.ends.note("RST received")
        except TimeoutError:
            pass

    async def wait(self, done: Callable[[], bool], what: str, poll: float = LIMIT) -> bool:
        """Until `done()`; False (and a note in the transcript) when LIMIT seconds pass.

        `poll` is how often to look where nothing here would tell of a change.
        """
        deadline = asyncio.get_running_loop().time() + LIMIT
        while not done():
            self._changed.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), max(min(left, poll), 0))
            except TimeoutError:
                if done():
                    return True
                if left > poll:
                    continue
                self.notes.append(f"gave up waiting for {what}")
                return False
        return True

    @property
    def ended(self) -> bool:
        """The proxy will send no more."""
        return self.end not in ("open", "half-closed by client")

    def take_response(self) -> bool:
        """Moves past one complete final response; interim ones are skipped on the way."""
        while True:
            methods = request_methods(bytes(self.sent))
            method = methods[self.answered] if self.answered < len(methods) else "GET"
            rest = bytes(self.received[self.parsed :])
            try:
                message = parse(rest, "response", method=method, ended=self.ended)
            except Incomplete:
                return self.ended
            self.parsed += message.size
            if message.status >= 200 or message.status == 101:
                self.answered += 1
                return True

    def half_close(self) -> None:
        """Sends FIN and keeps reading."""
        assert self._writer is not None
        if not self.ended:
            self.end = "half-closed by client"
        elif not self.raw:
            return
        self.ends.note("FIN sent")
        self._writer.write_eof()

    def reset(self) -> None:
        """Closes with RST."""
        assert self._writer is not None
        if not self.ended:
            self.end = "reset by client"
        self.ends.note("RST sent")
        reset(self._writer)

    def look(self) -> str:
        """How a raw connection's two sides ended, as of now."""
        look_for_reset(self.ends, self._writer)
        return str(self.ends)

    def close(self) -> None:
        """Closes; the recorded end says who was first."""
        if self._writer is None:
            return
        if self.end in ("open", "half-closed by client"):
            self.end = "closed by client" if self.end == "open" else self.end
        self.ends.note("closed")
        self._writer.close()
        if self._pump:
            self._pump.cancel()
