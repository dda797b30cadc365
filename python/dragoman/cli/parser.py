"""Command lines: a table of flags in, values out. The manners are Envoy's.

`--flag value` and `--flag=value`; exit code 1 on a bad command line; no abbreviations; a flag
given twice is an error; an unknown flag names the nearest known one. Not argparse, because
importing and filling that takes a tenth of the time from start to the first connection.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

_HELP = ("-h", "--help")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    # Only needed on the way out with an error.
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


class Flag(NamedTuple):
    """One option. Without `read` it takes no value.

    Attributes:
        names: short ones first; the last names the value ("--log-level": `log_level`).
        read: turns the text into a value; raises ValueError with what is wrong with it.
        without_effect: why giving it changes nothing; "" for those that do.
        many: may be repeated; the value is a list.
    """

    names: tuple[str, ...]
    help: str
    read: Callable[[str], Any] | None = None
    metavar: str = ""
    without_effect: str = ""
    many: bool = False

    @property
    def dest(self) -> str:
        """The key of its value."""
        return self.names[-1].removeprefix("--").replace("-", "_")

    @property
    def absent(self) -> Any:
        """Its value when it isn't given."""
        return [] if self.many else None if self.read else False


class Parser:
    """Reads the command line of one subcommand.

    Args:
        prog: how it is called, such as "dragoman run".
        about: what it does, for --help.
        flags: its options.
        operands: names of the words that it needs besides.
    """

    def __init__(
        self, prog: str, about: str, flags: Sequence[Flag], operands: Sequence[str] = ()
    ) -> None:
        self._prog = prog
        self._about = about
        self._flags = flags
        self._operands = operands

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """The value of every flag and operand. Ends the process if `argv` isn't right."""
        by_name = {name: flag for flag in self._flags for name in flag.names}
        values: dict[str, Any] = {flag.dest: flag.absent for flag in self._flags}
        given: set[str] = set()
        words: list[str] = []
        rest = iter(argv)
        for word in rest:
            name, equals, text = word.partition("=")
            if not word.startswith("-") or word == "-":
                words.append(word)
            elif word in _HELP:
                print(self.help())
                raise SystemExit(0)
            elif name not in by_name:
                hint = did_you_mean(name, [*by_name, *_HELP])
                self.error(f"unknown argument '{word}'{hint}")
            else:
                flag = by_name[name]
                if flag.dest in given and not flag.many:
                    self.error(f"{name} is given more than once")
                given.add(flag.dest)
                value = self._value(flag, name, text if equals else None, rest)
                values[flag.dest] = [*values[flag.dest], value] if flag.many else value
        return values | self._named(words)

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the command line, and ends the process with code 1."""
        print(f"error: {message}\n`{self._prog} --help` lists the options.", file=sys.stderr)
        raise SystemExit(1)

    def help(self) -> str:
        """The text of --help."""
        operands = "".join(f" {name.upper()}" for name in self._operands)
        lines = [f"usage: {self._prog} [OPTIONS]{operands}", "", self._about, "", "options:"]
        for flag in self._flags:
            left = ", ".join(flag.names) + (f" {flag.metavar}" if flag.read else "")
            lines += [f"  {left}", f"        {flag.help}"]
        return "\n".join([*lines, "  -h, --help", "        show this and end"])

    def _value(self, flag: Flag, name: str, joined: str | None, rest: Iterator[str]) -> Any:
        if flag.read is None:
            if joined is not None:
                self.error(f"{name} takes no value")
            return True
        text = next(rest, None) if joined is None else joined
        if text is None:
            self.error(f"{name} needs a value")
        try:
            return flag.read(text)
        except ValueError as error:
            self.error(f"{name}: {error}")

    def _named(self, words: Sequence[str]) -> dict[str, str]:
        if len(words) > len(self._operands):
            self.error(f"unknown argument '{words[len(self._operands)]}'")
        if len(words) < len(self._operands):
            self.error(f"{self._operands[len(words)].upper()} is missing")
        return dict(zip(self._operands, words, strict=True))


def unsigned(text: str) -> int:
    """An unsigned 32-bit number. Raises ValueError."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"'{text}' is not an unsigned number")
    number = int(text)
    if number >= 2**32:
        raise ValueError(f"{text} is greater than {2**32 - 1}")
    return number


def one_of(what: str, *words: str) -> Callable[[str], str]:
    """A reader of one of `words`; `what` names it in the error."""

    def read(text: str) -> str:
        if text not in words:
            hint = did_you_mean(text, words)
            raise ValueError(f"unknown {what} '{text}' (one of {', '.join(words)}){hint}")
        return text

    return read
