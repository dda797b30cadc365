"""`dragoman demo`: origins, a proxy before them, some traffic, and the proxy's percentiles, live.

Everything is real and on the loopback: the proxy is `dragoman run` with a configuration that
`--print-config` shows, and the numbers come from its admin page. This file is only the command
line; `session` is the story.
"""

from collections.abc import Sequence

from dragoman.cli.parser import Flag, Parser, unsigned
from dragoman.cli.proxy import Address, address

#: Nobody forgets a demo for longer than that.
MAX_SECONDS = 3600
MAX_RATE = 2000


def seconds(text: str) -> int:
    """A duration from 1 to `MAX_SECONDS`. Raises ValueError."""
    return _between(text, MAX_SECONDS)


def rate(text: str) -> int:
    """Requests a second, from 1 to `MAX_RATE`. Raises ValueError."""
    return _between(text, MAX_RATE)


def _between(text: str, most: int) -> int:
    number = unsigned(text)
    if not 1 <= number <= most:
        raise ValueError(f"{text} is not between 1 and {most}")
    return number


PARSER = Parser(
    "dragoman demo",
    "Starts origins (one steady, one with a slow tail, one that fails now and then) and a proxy\n"
    "before them, sends requests, and shows the latencies that the proxy measures. Ctrl-C ends it.",
    (
        Flag(("--seconds",), f"end after that long (default: {MAX_SECONDS})", seconds, "N"),
        Flag(("--rate",), "requests a second, of all routes together (300)", rate, "N"),
        Flag(
            ("--admin",),
            "where to serve the admin page (without a host on 127.0.0.1; default: any free port)",
            address,
            "[HOST]:PORT",
        ),
        Flag(("--print-config",), "print the proxy's configuration and end"),
    ),
)


def main(argv: Sequence[str]) -> int:
    """Runs the demo. Returns 0 however a user ends it, 1 if it can't run."""
    values = PARSER.read(argv)
    admin = values["admin"] or Address("", 0)
    admin = admin._replace(host=admin.host or "127.0.0.1")
    if values["print_config"]:
        from dragoman.cli.demo.layout import EXAMPLE_PORTS, configuration

        example = admin if admin.port else admin._replace(port=9901)
        print(configuration(EXAMPLE_PORTS, 10000, example), end="")
        return 0
    try:
        from dragoman.cli.demo.session import Plan, run

        return run(Plan(values["seconds"] or MAX_SECONDS, values["rate"] or 300, admin))
    except KeyboardInterrupt:
        # Ctrl-C before the demo's own handlers are there.
        return 0
