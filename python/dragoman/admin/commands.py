"""Every path of the admin page, in one table, and the way from a request to an answer."""

import logging
import re

from dragoman.admin.access import Access
from dragoman.admin.answer import Answer, RefusalError
from dragoman.admin.command import Command, Param
from dragoman.admin.face import Proxy
from dragoman.admin.pages import actions, clusters, config_dump, info, listeners, percentiles, stats
from dragoman.admin.pages.help import help_text, home
from dragoman.admin.query import Query

_log = logging.getLogger("dragoman.admin")

_FILTER = Param("filter", "regular expression; metrics whose name it matches somewhere")
_USED = Param("usedonly", "only metrics that were written since start")
_INVERT = Param("invert_filter", "metrics that the filter doesn't match")


def _show_home(_proxy: Proxy, _query: Query) -> Answer:
    return home(COMMANDS)


def _show_help(_proxy: Proxy, _query: Query) -> Answer:
    return Answer(help_text(COMMANDS))


COMMANDS = (
    Command("/", "this list as a page", _show_home),
    Command("/certs", "loaded certificates", info.certs),
    Command(
        "/clusters",
        "upstream clusters and their endpoints",
        clusters.clusters,
        (
            Param("filter", "regular expression; clusters whose name it matches somewhere"),
            Param("format", "how to print", ("text", "json")),
        ),
    ),
    Command(
        "/config_dump",
        "the running configuration",
        config_dump.config_dump,
        (
            Param("resource", "one repeated field, such as static_clusters"),
            Param("mask", "field mask: of every dump, or of every element of the resource"),
            Param("name_regex", "regular expression that a resource's whole name has to match"),
            Param("include_eds", "endpoints too"),
        ),
    ),
    Command(
        "/dragoman/percentiles",
        "latency percentiles of every route and endpoint",
        percentiles.percentiles,
        (
            Param("filter", "regular expression; histograms whose name it matches somewhere"),
            Param("format", "how to print", ("text", "json")),
        ),
    ),
    Command(
        "/drain_listeners",
        "stop listeners",
        actions.drain_listeners,
        (
            Param("graceful", "after the drain time, rather than at once"),
            Param("skip_exit", "drain connections, but go on listening"),
            Param("inboundonly", "only listeners whose traffic_direction is INBOUND"),
        ),
        mutates=True,
    ),
    Command("/healthcheck/fail", "fail health checks", actions.healthcheck_fail, mutates=True),
    Command("/healthcheck/ok", "pass health checks", actions.healthcheck_ok, mutates=True),
    Command("/help", "this list", _show_help),
    Command("/hot_restart_version", "hot restart version", info.hot_restart_version),
    Command("/init_dump", "what initialization still waits for", info.init_dump),
    Command(
        "/listeners",
        "listeners and their addresses",
        listeners.listeners,
        (Param("format", "how to print", ("text", "json")),),
    ),
    Command(
        "/logging",
        "show or change log levels",
        actions.logging,
        (
            Param("paths", "levels of several loggers: name1:level1,name2:level2"),
            Param("level", "level of all loggers", actions.LEVELS),
        ),
        mutates=True,
    ),
    Command("/memory", "memory in use", info.memory),
    Command("/quitquitquit", "end the process", actions.quitquitquit, mutates=True),
    Command("/ready", "the state; 200 if LIVE, else 503", info.ready),
    Command("/reopen_logs", "open log files anew", actions.reopen_logs, mutates=True),
    Command("/reset_counters", "set all counters to zero", actions.reset_counters, mutates=True),
    Command("/runtime", "runtime values", info.runtime),
    Command("/server_info", "version, state and options", info.server_info),
    Command(
        "/stats",
        "metrics",
        stats.stats,
        (
            _USED,
            _FILTER,
            _INVERT,
            Param("format", "how to print", ("html", "active-html", "text", "json", "prometheus")),
            Param(
                "type",
                "which kind",
                ("All", "Counters", "Histograms", "Gauges", "TextReadouts"),
            ),
            Param(
                "histogram_buckets",
                "how to print histograms",
                ("cumulative", "disjoint", "detailed", "summary"),
            ),
        ),
    ),
    Command(
        "/stats/prometheus",
        "metrics for Prometheus",
        stats.prometheus_page,
        (
            _USED,
            Param("text_readouts", "text readouts too, as gauges of value 0"),
            _FILTER,
            _INVERT,
            Param("histogram_buckets", "how to print histograms", ("cumulative", "summary")),
        ),
    ),
)

_BY_PATH = {command.path: command for command in COMMANDS}


def respond(proxy: Proxy, access: Access, method: str, target: str) -> Answer:
    """The answer to `method` on `target` (path and query, as sent)."""
    if not access.allows(target):
        _log.info("request to admin path %s is not allowed", target)
        return Answer(f"request to path {target} not allowed", 403)
    path, _, query = target.partition("?")
    command = _BY_PATH.get(re.sub("//+", "/", path))
    if command is None:
        return Answer(f"invalid path. {help_text(COMMANDS)}", 404)
    if command.mutates and method != "POST":
        _log.error('admin path "%s" changes state: %s instead of POST', path, method)
        return Answer(f"Method {method} not allowed, POST required.", 405)
    try:
        return command.page(proxy, Query(query))
    except RefusalError as refusal:
        return refusal.answer
