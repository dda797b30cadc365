"""`dragoman run`: Envoy's command line turned into `Options`, then served."""

import argparse
import re
from collections.abc import Sequence

from dragoman.cli.flags import FLAGS, LEVELS
from dragoman.cli.parser import Once, Parser, did_you_mean
from dragoman.server.options import Options

_TAG = re.compile(r"([A-Za-z0-9]+):([^.]+)")


def main(argv: Sequence[str]) -> int:
    """Parses `argv` (without the subcommand) and runs the proxy. Returns the exit code."""
    parser = make_parser()
    values = parser.read(argv)
    if values.version:
        return _print_version()
    if values.hot_restart_version:
        print("disabled")
        return 0
    options = make_options(parser, values)
    # Only now: a bad command line is answered without loading the proxy.
    from dragoman.server.run import serve

    return serve(options)


def make_parser() -> Parser:
    """The parser of `FLAGS`."""
    parser = Parser("dragoman run", "Serves traffic as an Envoy configuration says.")
    for flag in FLAGS:
        if flag.read is None:
            parser.add_argument(*flag.names, action="store_true", help=flag.help)
        elif flag.names == ("--stats-tag",):
            parser.add_argument(
                *flag.names, action="append", default=[], metavar=flag.metavar, help=flag.help
            )
        else:
            parser.add_argument(
                *flag.names,
                action=Once,
                type=flag.read,
                metavar=flag.metavar,
                help=flag.help.replace("%", "%%"),
            )
    return parser


def make_options(parser: Parser, values: argparse.Namespace) -> Options:
    """`Options` of the parsed `values`. A wrong combination ends through `parser.error`."""
    if values.config_path is None and values.config_yaml is None:
        parser.error("at least one of --config-path and --config-yaml is needed")
    if values.disable_extensions:
        parser.error("--disable-extensions is not supported: all extensions are available")
    if values.log_format is not None and values.log_format_escaped and "%_" in values.log_format:
        parser.error("--log-format-escaped can't be combined with %_ in --log-format")
    given = {
        flag.dest: getattr(values, flag.dest)
        for flag in FLAGS
        if getattr(values, flag.dest) not in (None, False) and flag.dest in Options._fields
    }
    given["log_level"] = _level(given.get("log_level", "info"))
    given["component_log_level"] = _components(parser, values.component_log_level or "")
    given["stats_tag"] = _tags(parser, values.stats_tag)
    given["concurrency"] = _concurrency(values.concurrency)
    if values.allow_unknown_fields:
        given["allow_unknown_static_fields"] = True
    return Options(**given, without_effect=_without_effect(values))


def _print_version() -> int:
    from dragoman import __version__

    print(f"dragoman  version: {__version__}")
    return 0


def _without_effect(values: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    return tuple(
        (flag.names[-1], flag.without_effect)
        for flag in FLAGS
        if flag.without_effect and getattr(values, flag.dest) not in (None, False)
    )


def _concurrency(given: int | None) -> int:
    if given is not None:
        return max(1, given)
    from dragoman.server.concurrency import default_concurrency

    return default_concurrency()


def _level(level: str) -> str:
    return "warning" if level == "warn" else level


def _components(parser: Parser, text: str) -> tuple[tuple[str, str], ...]:
    """`upstream:debug,http:trace` as pairs."""
    from dragoman.server.logs import LOGGERS

    pairs = []
    for item in filter(None, text.split(",")):
        name, _, level = item.partition(":")
        if name not in LOGGERS:
            parser.error(
                f"--component-log-level: unknown component '{name}'{did_you_mean(name, LOGGERS)}"
            )
        if level not in LEVELS:
            parser.error(
                f"--component-log-level: unknown log level '{level}' of '{name}'"
                f"{did_you_mean(level, LEVELS)}"
            )
        pairs.append((name, _level(level)))
    return tuple(pairs)


def _tags(parser: Parser, texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for text in texts:
        found = _TAG.fullmatch(text)
        if found is None:
            parser.error(
                f"--stats-tag: '{text}' is not TAG:VALUE (TAG of letters and digits, no dot in"
                " VALUE)"
            )
        tag, value = found.groups()
        if tag in tags:
            parser.error(f"--stats-tag: tag '{tag}' is given more than once")
        tags[tag] = value
    return tuple(tags.items())
