"""`dragoman run`: Envoy's command line turned into `Options`, then served."""

from collections.abc import Mapping, Sequence
from typing import Any

from dragoman.cli.flags import FLAGS, LEVELS
from dragoman.cli.parser import Parser, did_you_mean
from dragoman.server.options import Options

PARSER = Parser("dragoman run", "Serves traffic as an Envoy configuration says.", FLAGS)


def main(argv: Sequence[str]) -> int:
    """Parses `argv` (without the subcommand) and runs the proxy. Returns the exit code."""
    values = PARSER.read(argv)
    if values["version"]:
        return _print_version()
    if values["hot_restart_version"]:
        print("disabled")
        return 0
    options = make_options(values)
    # Only now: a bad command line is answered without loading the proxy.
    from dragoman.server.run import serve

    return serve(options)


def make_options(values: Mapping[str, Any]) -> Options:
    """`Options` of the parsed `values`. A wrong combination ends through `PARSER.error`."""
    if values["config_path"] is None and values["config_yaml"] is None:
        PARSER.error("at least one of --config-path and --config-yaml is needed")
    if values["disable_extensions"]:
        PARSER.error("--disable-extensions is not supported: all extensions are available")
    if values["log_format_escaped"] and "%_" in (values["log_format"] or ""):
        PARSER.error("--log-format-escaped can't be combined with %_ in --log-format")
    given = {
        name: value
        for name, value in values.items()
        if name in Options._fields and value not in (None, False)
    }
    given["log_level"] = _level(given.get("log_level", "info"))
    given["component_log_level"] = _components(values["component_log_level"] or "")
    given["stats_tag"] = _tags(values["stats_tag"])
    given["concurrency"] = _concurrency(values["concurrency"])
    if values["allow_unknown_fields"]:
        given["allow_unknown_static_fields"] = True
    return Options(**given, without_effect=_without_effect(values))


def _print_version() -> int:
    from dragoman import __version__

    print(f"dragoman  version: {__version__}")
    return 0


def _without_effect(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (flag.names[-1], flag.without_effect)
        for flag in FLAGS
        if flag.without_effect and values[flag.dest] != flag.absent
    )


def _concurrency(given: int | None) -> int:
    if given is not None:
        return max(1, given)
    from dragoman.server.concurrency import default_concurrency

    return default_concurrency()


def _level(level: str) -> str:
    return "warning" if level == "warn" else level


def _components(text: str) -> tuple[tuple[str, str], ...]:
    """`upstream:debug,http:trace` as pairs."""
    if not text:
        return ()
    from dragoman.server.logs import LOGGERS

    pairs = []
    for item in filter(None, text.split(",")):
        name, _, level = item.partition(":")
        if name not in LOGGERS:
            hint = did_you_mean(name, LOGGERS)
            PARSER.error(f"--component-log-level: unknown component '{name}'{hint}")
        if level not in LEVELS:
            hint = did_you_mean(level, LEVELS)
            PARSER.error(f"--component-log-level: unknown log level '{level}' of '{name}'{hint}")
        pairs.append((name, _level(level)))
    return tuple(pairs)


def _tags(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for text in texts:
        tag, _, value = text.partition(":")
        if not (tag.isascii() and tag.isalnum() and value) or "." in value:
            rule = "TAG:VALUE (TAG of letters and digits, no dot in VALUE)"
            PARSER.error(f"--stats-tag: '{text}' is not {rule}")
        if tag in tags:
            PARSER.error(f"--stats-tag: tag '{tag}' is given more than once")
        tags[tag] = value
    return tuple(tags.items())
