"""The command `dragoman`: picks the subcommand; each is its own module, imported when needed.

Without a subcommand it is `run`, so that `dragoman -c FILE` stands in for `envoy -c FILE`.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

#: Subcommand -> what it is for. The module `dragoman.cli.<name>` has `main(argv) -> exit code`.
COMMANDS = {
    "run": "serve traffic as the configuration says (also what `dragoman -c FILE` does)",
    "validate": "check a configuration and say what is wrong with it, and where",
    "proxy": "forward a port to a server, without a configuration file",
    "demo": "origins, a proxy before them, some traffic, and its latencies, live",
}

_USAGE = "usage: dragoman [COMMAND] [OPTIONS]"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 1
    if arguments[0].startswith("-"):
        arguments.insert(0, "run")
    command = arguments.pop(0)
    if command not in COMMANDS:
        return _unknown(command)
    code = import_module(f"dragoman.cli.{command}").main(arguments)
    assert isinstance(code, int)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        f"{_USAGE}\n\nA service proxy that runs Envoy's configuration.\n\n"
        f"commands:\n{rows}\n\n`dragoman COMMAND --help` lists a command's options."
    )


def _unknown(command: str) -> int:
    from dragoman.cli.parser import did_you_mean

    hint = did_you_mean(command, COMMANDS)
    print(f"error: unknown command '{command}'{hint}\n{_USAGE}", file=sys.stderr)
    return 1
