"""Where the demo's board is shown: a terminal, drawn anew in place, or a pipe, now and then."""

import asyncio
import io
import shutil
import signal
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Protocol

from dragoman.cli.demo.table import Board, Line, lines, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PLAIN_EVERY_S = 2.0


class Display(Protocol):
    """Shows boards. `show` may raise OSError once nobody reads any more."""

    def show(self, board: Board) -> None: ...
    def close(self, board: Board | None) -> None:
        """Leaves `board` (if any) as the last thing to be seen."""


def best_display() -> Display:
    """What suits standard output. Needs a running event loop."""
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Bars in a terminal of another encoding.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return Terminal(console)
    return Pipe(sys.stdout, asyncio.get_running_loop().time)


class Pipe:
    """Plain tables, one every two seconds."""

    def __init__(self, out: IO[str], clock: Callable[[], float]) -> None:
        self._out = out
        self._clock = clock
        self._next = clock() + _PLAIN_EVERY_S

    def show(self, board: Board) -> None:
        """Writes `board` if the last one is long enough ago. Raises OSError."""
        if self._clock() >= self._next:
            self._next += _PLAIN_EVERY_S
            self._write(board)

    def close(self, board: Board | None) -> None:
        """Writes the final `board`. Raises OSError."""
        if board is not None:
            self._write(board)

    def _write(self, board: Board) -> None:
        width = shutil.get_terminal_size((120, 24)).columns
        self._out.write(plain(lines(board._replace(history={}), width, 0)) + "\n")
        self._out.flush()


class Terminal:
    """The alternate screen, so that whatever was there before comes back."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        self._console = console
        self._board: Board | None = None
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, self._draw)

    def show(self, board: Board) -> None:
        """Draws `board` now, and again whenever the window's size changes."""
        self._board = board
        self._draw()

    def close(self, board: Board | None) -> None:
        """Gives the terminal back, and leaves the final `board` on it."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._live.stop()
        if board is not None:
            self._console.print(_text(lines(board, self._console.width, 0)), crop=True)

    def _draw(self) -> None:
        if self._board is not None:
            width, height = self._console.size
            self._live.update(_text(lines(self._board, width, height)), refresh=True)


def _text(shown: list[Line]) -> "Text":
    from rich.text import Text

    whole = Text(no_wrap=True, overflow="crop")
    for place, line in enumerate(shown):
        whole.append("\n" if place else "")
        for span in line:
            whole.append(span.text, span.style)
    return whole
