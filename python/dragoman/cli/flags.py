"""Envoy's command-line options, as one table. Adding one means adding a row."""

from dragoman.cli.parser import Flag, one_of, unsigned
from dragoman.server.options import DEFAULT_LOG_FORMAT

LEVELS = ("trace", "debug", "info", "warning", "warn", "error", "critical", "off")

_NO_HOT_RESTART = "there is no hot restart: a new process binds the same ports while the old runs"
_ONE_VERSION = "addresses are taken from the configuration alone"


def _text(names: str, help_: str, metavar: str, without_effect: str = "") -> Flag:
    return Flag(tuple(names.split()), help_, str, metavar, without_effect)


def _number(names: str, help_: str, without_effect: str = "") -> Flag:
    return Flag(tuple(names.split()), help_, unsigned, "N", without_effect)


def _switch(names: str, help_: str, without_effect: str = "") -> Flag:
    return Flag(tuple(names.split()), help_, None, "", without_effect)


def _choice(names: str, help_: str, what: str, *words: str, without_effect: str = "") -> Flag:
    return Flag(tuple(names.split()), help_, one_of(what, *words), "|".join(words), without_effect)


FLAGS = (
    _text("-c --config-path", "configuration file (.yaml, .yml, .json, .pb, .pb_text)", "FILE"),
    _text("--config-yaml", "configuration as YAML, merged over the file's", "YAML"),
    _choice(
        "--mode",
        "serve; or check the configuration and end; or start, then end",
        "mode",
        "serve",
        "validate",
        "init_only",
    ),
    _number("--concurrency", "worker threads (default: CPUs that this process may use)"),
    _choice("-l --log-level", "default level of all loggers (info)", "log level", *LEVELS),
    _text("--component-log-level", "levels of single loggers: upstream:debug,http:trace", "LIST"),
    _text("--log-path", "file to log to instead of standard error", "FILE"),
    _text("--log-format", f"spdlog pattern of a line ({DEFAULT_LOG_FORMAT})", "PATTERN"),
    _switch("--log-format-escaped", "escape control characters in messages"),
    _text("--service-cluster", "node.cluster, instead of the configuration's", "NAME"),
    _text("--service-node", "node.id, instead of the configuration's", "NAME"),
    _text("--service-zone", "node.locality.zone, instead of the configuration's", "NAME"),
    _number("--drain-time-s", "seconds that a listener drains for (600)"),
    _choice(
        "--drain-strategy",
        "close connections evenly over the drain time, or at once",
        "drain strategy",
        "gradual",
        "immediate",
    ),
    _number("--parent-shutdown-time-s", "hot restart: parent's lifetime", _NO_HOT_RESTART),
    _text("--admin-address-path", "file to write the admin page's address to", "FILE"),
    _number("--file-flush-interval-msec", "how often access logs are written out (10000)"),
    _number("--file-flush-min-size-kb", "size at which they are written out earlier (64)"),
    Flag(
        ("--stats-tag",),
        "tag that every metric carries; may be repeated",
        str,
        "TAG:VALUE",
        many=True,
    ),
    _switch("--allow-unknown-static-fields", "accept unknown fields in the configuration file"),
    _switch("--allow-unknown-fields", "the same (deprecated)"),
    _switch("--reject-unknown-dynamic-fields", "refuse unknown fields in dynamic configuration"),
    _switch("--ignore-unknown-dynamic-fields", "don't warn of unknown fields there"),
    _text("--disable-extensions", "comma-separated extensions not to allow", "LIST"),
    _number("--base-id", "hot restart: which family of processes", _NO_HOT_RESTART),
    _switch("--use-dynamic-base-id", "hot restart: choose a base id", _NO_HOT_RESTART),
    _text("--base-id-path", "hot restart: file for the base id", "FILE", _NO_HOT_RESTART),
    _number("--restart-epoch", "hot restart: which generation", _NO_HOT_RESTART),
    _switch("--disable-hot-restart", "no hot restart (always so here)"),
    _switch("--skip-hot-restart-on-no-parent", "hot restart", _NO_HOT_RESTART),
    _switch("--skip-hot-restart-parent-stats", "hot restart", _NO_HOT_RESTART),
    _text("--socket-path", "hot restart: socket", "PATH", _NO_HOT_RESTART),
    _text("--socket-mode", "hot restart: the socket's mode", "MODE", _NO_HOT_RESTART),
    _switch("--hot-restart-version", "print the hot restart version and end"),
    _choice(
        "--local-address-ip-version",
        "IP version of the local address",
        "IP address version",
        "v4",
        "v6",
        without_effect=_ONE_VERSION,
    ),
    _switch(
        "--cpuset-threads",
        "count the CPUs of the cpuset",
        "the CPU affinity is always taken into account",
    ),
    _switch("--enable-mutex-tracing", "trace lock contention", "workers share no locks"),
    _switch(
        "--enable-core-dump", "allow core dumps", "the system's core-dump limits are left alone"
    ),
    _switch(
        "--enable-fine-grain-logging",
        "a logger per source file",
        "loggers are per component only",
    ),
    _switch(
        "--log-stacktrace-single-entry",
        "stack traces as one log entry",
        "they always are one entry",
    ),
    _switch(
        "--skip-deprecated-logs",
        "no warnings of deprecated fields",
        "deprecated fields are reported by `dragoman validate` alone",
    ),
    _switch("--version", "print the version and end"),
)
