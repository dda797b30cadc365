"""Pages that change something. They are POST only; each answers OK once it is done."""

from dragoman.admin.answer import OK, Answer, RefusalError
from dragoman.admin.face import Proxy
from dragoman.admin.query import Query

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


def reset_counters(proxy: Proxy, _query: Query) -> Answer:
    """Sets every counter to zero."""
    proxy.engine.reset_counters()
    return OK


def reopen_logs(proxy: Proxy, _query: Query) -> Answer:
    """Opens access logs and the process's log anew, after a rotation."""
    proxy.reopen_logs()
    return OK


def healthcheck_fail(proxy: Proxy, _query: Query) -> Answer:
    """Fails health checks from now on; connections are told to close."""
    proxy.fail_health_check(True)
    return OK


def healthcheck_ok(proxy: Proxy, _query: Query) -> Answer:
    """Passes health checks again."""
    proxy.fail_health_check(False)
    return OK


def drain_listeners(proxy: Proxy, query: Query) -> Answer:
    """Stops listeners: at once, or after the drain time with `graceful`."""
    proxy.drain(
        graceful="graceful" in query,
        inbound_only="inboundonly" in query,
        skip_exit="skip_exit" in query,
    )
    return OK


def quitquitquit(proxy: Proxy, _query: Query) -> Answer:
    """Ends the process."""
    proxy.quit()
    return OK


def logging(proxy: Proxy, query: Query) -> Answer:
    """Shows the loggers' levels, after a change if there is a parameter."""
    if len(query.items) > 1:
        raise _wrong(proxy, "invalid number of parameters")
    for name, value in query.items:
        _set_levels(proxy, name, value)
    return Answer(_active(proxy))


def _set_levels(proxy: Proxy, name: str, value: str) -> None:
    if name == "group":
        raise _wrong(proxy, "group parameter requires fine-grain logging to be enabled")
    if name == "paths":
        changes = [tuple(item.partition(":")[::2]) for item in value.split(",")]
    elif name == "level" and not value:
        return
    else:
        changes = [(name, value)]
    # All or nothing: the words are checked before the first is applied.
    known = proxy.logs.levels()
    for logger, level in changes:
        if not logger or not level:
            raise _wrong(proxy, "empty logger name or empty logger level")
        if level not in LEVELS:
            raise _wrong(proxy, "unknown logger level")
        if logger not in known and name != "level":
            raise _wrong(proxy, "unknown logger name")
    for logger, level in changes:
        if name == "level":
            proxy.logs.set_all(level)
        else:
            proxy.logs.set_one(logger, level)


def _active(proxy: Proxy) -> str:
    rows = "".join(f"  {name}: {level}\n" for name, level in proxy.logs.levels().items())
    return f"active loggers:\n{rows}\n"


def _wrong(proxy: Proxy, what: str) -> RefusalError:
    usage = (
        "usage: /logging?<name>=<level> (one logger)\n"
        "usage: /logging?paths=name1:level1,name2:level2,... (several loggers)\n"
        "usage: /logging?level=<level> (all loggers)\n"
        f"levels: {' '.join(LEVELS)}\n"
    )
    return RefusalError(400, f"error: {what}\n\n{usage}{_active(proxy)}")
