"""argparse with this command line's manners.

Exit code 1 on a bad command line (as Envoy), no abbreviations, an option given twice is an
error, and an unknown option names the nearest known one.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    # Only needed on the way out with an error.
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


class Parser(argparse.ArgumentParser):
    """A parser for one subcommand."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The values of `argv`. Ends the process with code 1 if it can't be understood."""
        values, unknown = self.parse_known_args(argv)
        if unknown:
            option = unknown[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            hint = did_you_mean(option, known) if option.startswith("-") else ""
            self.error(f"unknown argument '{unknown[0]}'{hint}")
        return values

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\n`{self.prog} --help` lists the options.", file=sys.stderr)
        raise SystemExit(1)


class Once(argparse.Action):
    """Stores one value; a second one is an error rather than a silent override."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given: set[str] = namespace.__dict__.setdefault("_given", set())
        if self.dest in given:
            parser.error(f"{option_string} is given more than once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def unsigned(text: str) -> int:
    """An unsigned 32-bit number."""
    try:
        number = int(text, 10)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is outside 0 .. {2**32 - 1}")
    return number


def one_of(what: str, *words: str) -> Any:
    """A reader of one of `words`; `what` names it in the error."""

    def read(text: str) -> str:
        if text not in words:
            hint = did_you_mean(text, words)
            choices = ", ".join(words)
            raise argparse.ArgumentTypeError(f"unknown {what} '{text}' (one of {choices}){hint}")
        return text

    return read
