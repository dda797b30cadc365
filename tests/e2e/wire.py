"""Raw HTTP/1.1 over sockets for both ends of a proxy: blocking, bounded in time, byte-exact.

`Wire` is one connection, `Server` an origin that gives each connection a thread. Lenient: it takes
what comes apart, it judges nothing. Must not know of proxies.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PATIENCE_S = 20.0
PIECE = 1 << 16

#: (host, port), or a path; a path that begins with `@` is an abstract socket.
Address = tuple[str, int] | str

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"


@dataclass
class Head:
    """A message's first line as words, and its fields by lower-case name (the last one wins)."""

    words: list[str]
    fields: dict[str, str]

    @property
    def status(self) -> int:
        return int(self.words[1])

    @property
    def target(self) -> str:
        return self.words[1]


@dataclass
class Message(Head):
    body: bytes


class Wire:
    """One connection. A read that waits longer than PATIENCE_S raises TimeoutError."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(PATIENCE_S)
        self.data = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def fill(self) -> bool:
        """Reads more; False: the peer ended its side."""
        more = self.socket.recv(PIECE)
        self.data += more
        return bool(more)

    def take(self, count: int) -> bytes:
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken

    def until(self, mark: bytes) -> bytes | None:
        """What comes up to and with `mark`; None: the peer ended its side before."""
        while (at := self.data.find(mark)) < 0:
            if not self.fill():
                return None
        return self.take(at + len(mark))

    def head(self) -> Head | None:
        """The next message's head; None: the peer ended its side."""
        text = self.until(b"\r\n\r\n")
        if text is None:
            return None
        first, *lines = text.decode("latin-1").split("\r\n")[:-2]
        pairs = (line.split(":", 1) for line in lines)
        return Head(first.split(" ", 2), {name.lower(): value.strip() for name, value in pairs})

    def body(self, head: Head) -> Iterator[bytes]:
        """The body's bytes as they come. Raises EOFError when it is cut short."""
        if "chunked" in head.fields.get("transfer-encoding", ""):
            while size := int(self._line(), 16):
                yield from self._exactly(size)
                self._line()
            while self._line():
                pass
        elif "content-length" in head.fields:
            yield from self._exactly(int(head.fields["content-length"]))
        elif head.words[0].startswith("HTTP/"):
            while self.data or self.fill():
                yield self.take(len(self.data))

    def message(self) -> Message | None:
        """The next message with its body (of any response but one to HEAD)."""
        head = self.head()
        return head and Message(head.words, head.fields, b"".join(self.body(head)))

    def response(self) -> Message:
        """The next message, which must come."""
        message = self.message()
        assert message is not None, "the connection ended"
        return message

    def get(self, target: str = "/") -> Message:
        """The answer to a GET."""
        self.send(GET.replace(b"/", target.encode(), 1))
        return self.response()

    def is_ended(self) -> bool:
        """Waits for the peer's end; False: something else came first."""
        try:
            return not self.data and not self.fill()
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        # Without the shutdown a thread that reads from it would keep it open.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            if not self.data and not self.fill():
                raise EOFError(f"{count} bytes are missing")
            piece = self.take(min(count, len(self.data)))
            count -= len(piece)
            yield piece

    def _line(self) -> bytes:
        line = self.until(b"\r\n")
        if line is None:
            raise EOFError("a line is missing")
        return line[:-2]


def path_of(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address


def connect(address: Address | int) -> Wire:
    """A connection to `address`, or to a port of 127.0.0.1."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(PATIENCE_S)
            sock.connect(path_of(address))
        except BaseException:
            sock.close()
            raise
        return Wire(sock)
    where = ("127.0.0.1", address) if isinstance(address, int) else address
    return Wire(socket.create_connection(where, timeout=PATIENCE_S))


class Server:
    """An origin: `serve` is called with each connection, on a thread of its own.

    A connection that its peer ends is no fault; anything else that `serve` raises is.
    """

    def __init__(self, serve: Callable[[Wire], None], address: Address = ("127.0.0.1", 0)) -> None:
        self.wires: list[Wire] = []
        self.faults: list[Exception] = []
        self._serve = serve
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(path_of(address) if isinstance(address, str) else address)
        self._socket.listen(1024)
        self.port: int = 0 if isinstance(address, str) else self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop_listening(self) -> None:
        """New connections are refused from now on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()

    def close(self) -> None:
        """Ends everything. Raises the first fault of a connection's thread."""
        self.stop_listening()
        for wire in self.wires:
            wire.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        for fault in self.faults:
            raise fault

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            wire = Wire(sock)
            self.wires.append(wire)
            thread = threading.Thread(target=self._run, args=(wire,))
            self._threads.append(thread)
            thread.start()

    def _run(self, wire: Wire) -> None:
        try:
            with wire:
                self._serve(wire)
        except (OSError, EOFError):
            pass
        except Exception as fault:
            self.faults.append(fault)


@contextmanager
def serving(serve: Callable[[Wire], None], address: Address = ("127.0.0.1", 0)) -> Iterator[Server]:
    server = Server(serve, address)
    try:
        yield server
    finally:
        server.close()


def answering(answer: bytes = OK) -> Callable[[Wire], None]:
    """Serves every request with `answer`."""

    def serve(wire: Wire) -> None:
        while wire.message():
            wire.send(answer)

    return serve
