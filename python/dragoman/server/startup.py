"""From a configuration to an engine that has taken it: load, publish, and say what is wrong."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from dragoman._core import BindError, Engine, PublishError
from dragoman.config import Diagnostic, Loaded, load_bootstrap, message_to_dict, wanted
from dragoman.config.diagnostics import WARNING
from dragoman.errors import ConfigError
from dragoman.server.options import Options
from dragoman.server.secrets import examine
from dragoman.server.trouble import StartError, cannot_bind

_log = logging.getLogger("dragoman.config")


def load(options: Options) -> Loaded:
    """The configuration that `options` name. Raises ConfigError with all its faults."""
    return _read(options).require()


def node_of(options: Options, bootstrap: Any) -> dict[str, Any]:
    """The bootstrap's node as JSON; the command line's --service-… win over it."""
    node: dict[str, Any] = {"id": "", "cluster": ""}
    if bootstrap.HasField("node"):
        node |= message_to_dict(bootstrap.node)
    if options.service_node:
        node["id"] = options.service_node
    if options.service_cluster:
        node["cluster"] = options.service_cluster
    if options.service_zone:
        node["locality"] = {**node.get("locality", {}), "zone": options.service_zone}
    return node


def make_engine(options: Options, node: dict[str, Any]) -> Engine:
    """An engine that runs as `options` say, with nothing published yet."""
    return Engine(
        concurrency=options.concurrency,
        drain_time_s=float(options.drain_time_s),
        drain_strategy=options.drain_strategy,
        file_flush_interval_ms=options.file_flush_interval_msec,
        file_flush_min_size_kb=options.file_flush_min_size_kb,
        service_cluster=node["cluster"],
        service_node=node["id"],
    )


def publish(engine: Engine, loaded: Loaded) -> None:
    """Publishes all resources of `loaded`.

    Raises:
        ConfigError: the engine refuses some of it.
        StartError: a listener's address can't be bound.
    """
    changes = [(one.kind, one.name, one.payload) for one in loaded.resources()]
    _log.info(
        "loading %d cluster(s), %d listener(s)",
        sum(kind == "cluster" for kind, _, _ in changes),
        sum(kind == "listener" for kind, _, _ in changes),
    )
    try:
        engine.publish(changes)
    except PublishError as error:
        raise _refused(loaded, error) from None
    except BindError as error:
        raise _bind_trouble(error) from None


def check(options: Options, loaded: Loaded) -> None:
    """Whether an engine would take `loaded`, with nothing bound. Raises ConfigError."""
    engine = make_engine(options, node_of(options, loaded.bootstrap))
    try:
        engine.check([(one.kind, one.name, one.payload) for one in loaded.resources()])
    except PublishError as error:
        raise _refused(loaded, error) from None


def check_secrets(options: Options, loaded: Loaded) -> list[Diagnostic]:
    """What is wrong with secrets in files, as warnings: the proxy starts without them."""
    found: list[Diagnostic] = []
    for one in wanted(loaded.bootstrap):
        engine = make_engine(options, node_of(options, loaded.bootstrap))
        found += examine(one, engine.check)[1]
    return [one._replace(severity=WARNING) for one in found]


def diagnose(options: Options) -> list[Diagnostic]:
    """Everything there is to say about the configuration: faults and warnings."""
    loaded = _read(options)
    if not loaded.ok:
        return loaded.diagnostics
    with suppress(ConfigError):
        check(options, loaded)
    return loaded.diagnostics + check_secrets(options, loaded)


def _read(options: Options) -> Loaded:
    return load_bootstrap(
        options.config_path or None,
        options.config_yaml or None,
        allow_unknown_fields=options.allow_unknown_static_fields,
    )


def _refused(loaded: Loaded, error: PublishError) -> ConfigError:
    """The engine's faults, now pointing into the configuration's text."""
    loaded.add_faults(error.args[0])
    return ConfigError(loaded.diagnostics)


def _bind_trouble(error: BindError) -> StartError:
    """The engine's text is "cannot bind 'ADDRESS': REASON"; the third value the listener."""
    address = str(error.strerror).partition("'")[2].partition("'")[0]
    return cannot_bind(f"listener '{error.filename}'", address, error.errno or 0)


def write_file(path: str, text: str) -> None:
    """Writes `text` to `path` in one step, so that a reader never sees half of it."""
    temporary = Path(f"{path}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
