"""`serve(options)`: the whole life of a proxy process, top-down, and its exit code.

The order is chosen so that connections are accepted as early as possible: the admin page's
socket is bound first (its page is loaded last), then the listeners', then the workers start.
"""

import logging
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any

from dragoman.admin import listen
from dragoman.admin.access import Access
from dragoman.admin.access_log import AccessLog, paths_of
from dragoman.config import Loaded, message_to_dict, render_text, wanted
from dragoman.errors import ConfigError
from dragoman.server import startup
from dragoman.server.logs import Logs
from dragoman.server.options import DEFAULT_LOG_FORMAT, Options
from dragoman.server.process import Admin, Process
from dragoman.server.secrets import Secrets
from dragoman.server.trouble import StartError, cannot_bind, cannot_open

_log = logging.getLogger("dragoman.main")

_PATIENCE_S = 60.0


def serve(options: Options) -> int:
    """Runs a proxy as `options` say until it is told to end. Returns the exit code.

    What keeps it from starting is said on standard error, without a traceback.
    """
    try:
        return _MODES[options.mode](options, _open_logs(options))
    except ConfigError as error:
        sys.stderr.write(render_text(error.diagnostics))
    except StartError as error:
        sys.stderr.write(f"error: {error}\n")
    return 1


def _open_logs(options: Options) -> Logs:
    pattern = options.log_format or DEFAULT_LOG_FORMAT
    try:
        logs = Logs(pattern, options.log_path, escape=options.log_format_escaped)
    except OSError as error:
        raise cannot_open("log file", options.log_path, error) from None
    logs.set_all(options.log_level)
    for name, level in options.component_log_level:
        logs.set_one(name, level)
    return logs


def _validate(options: Options, _logs: Logs) -> int:
    loaded = _load(options)
    startup.check(options, loaded)
    for diagnostic in startup.check_secrets(options, loaded):
        _log.warning("%s", diagnostic)
    sys.stdout.write(f"configuration '{options.config_path}' OK\n")
    return 0


def _init_only(options: Options, logs: Logs) -> int:
    process, _admin = _start(options, logs)
    while not process.engine.wait_initialized(_PATIENCE_S):
        _log.info("waiting for clusters to be resolved")
    process.engine.stop()
    return 0


def _run(options: Options, logs: Logs) -> int:
    process, admin = _start(options, logs)
    if process.engine.wait_initialized(0.0):
        process.go_live()
    # Not before the first connection can be accepted: importing asyncio takes its time.
    import asyncio

    from dragoman.server.loop import run

    asyncio.run(run(process, admin))
    _log.info("exiting")
    return 0


_MODES = {"serve": _run, "validate": _validate, "init_only": _init_only}


def _load(options: Options) -> Loaded:
    """The configuration, with its warnings logged."""
    for name, reason in options.without_effect:
        _log.info("%s has no effect: %s", name, reason)
    loaded = startup.load(options)
    for diagnostic in loaded.diagnostics:
        _log.warning("%s", diagnostic)
    return loaded


def _start(options: Options, logs: Logs) -> tuple[Process, Admin | None]:
    """Everything up to bound sockets: what remains is to start the workers."""
    # Envoy ignores it too; without this a terminal's end would end the proxy.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _allow_files()
    _log.info("starting with %d worker(s), configuration '%s'", options.concurrency, _name(options))
    loaded = _load(options)
    _set_log_format(options, logs, loaded.bootstrap)
    admin = _bind_admin(options, loaded.bootstrap)
    node = startup.node_of(options, loaded.bootstrap)
    process = Process(options, loaded, startup.make_engine(options, node), logs, node)
    startup.publish(process.engine, loaded)
    process.secrets = Secrets(wanted(loaded.bootstrap), process.engine)
    process.initializing()
    return process, admin


def _allow_files() -> None:
    """As many open files as the process may have: each connection is one."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:
        _log.warning("at most %d open files: the limit can't be raised: %s", least, error)


def _name(options: Options) -> str:
    return options.config_path or "--config-yaml"


def _bind_admin(options: Options, bootstrap: Any) -> Admin | None:
    if not bootstrap.HasField("admin") or not bootstrap.admin.HasField("address"):
        _log.info("no admin page: the configuration has no admin.address")
        return None
    config = message_to_dict(bootstrap.admin)
    try:
        access = Access(config.get("allow_paths", []))
        log = AccessLog(paths_of(config))
    except ValueError as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise cannot_open("admin access log", str(error.filename), error) from None
    try:
        admin = Admin(listen.bind(config["address"]), access, log)
    except OSError as error:
        raise cannot_bind("admin page", _address(config["address"]), error.errno or 0) from None
    except ValueError as error:
        raise StartError(str(error)) from None
    text = listen.address_text(admin.socket)
    _log.info("admin address: %s", text)
    if options.admin_address_path:
        try:
            startup.write_file(options.admin_address_path, text)
        except OSError as error:
            raise cannot_open("--admin-address-path", options.admin_address_path, error) from None
    return admin


def _address(address: Mapping[str, Any]) -> str:
    if "pipe" in address:
        return str(address["pipe"]["path"])
    where = address["socket_address"]
    return f"{where.get('address', '')}:{where.get('port_value', 0)}"


def _set_log_format(options: Options, logs: Logs, bootstrap: Any) -> None:
    """`application_log_config.log_format`, where the command line doesn't say otherwise."""
    if not bootstrap.HasField("application_log_config"):
        return
    config = message_to_dict(bootstrap.application_log_config).get("log_format", {})
    if config and options.log_format is not None:
        raise StartError("--log-format and application_log_config can't both set the log format")
    if "text_format" in config:
        logs.set_pattern(config["text_format"])
    elif "json_format" in config:
        import json

        logs.set_pattern(json.dumps(config["json_format"], separators=(",", ":")))
