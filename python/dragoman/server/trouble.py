"""Start-up troubles in one sentence each: what failed, why, and what can be done."""

import errno
import os
from collections.abc import Callable

from dragoman.server.holder import port_holder


class StartError(Exception):
    """The process can't start. The text is for the person who started it."""


def cannot_bind(
    what: str,
    address: str,
    code: int,
    find_holder: Callable[[int], str | None] = port_holder,
) -> StartError:
    """`what` ("listener 'web'", "admin page") couldn't take `address`, for the reason `code`."""
    reason = _reason(address, code, find_holder)
    return StartError(f"{what}: cannot bind '{address}': {reason}")


def _reason(address: str, code: int, find_holder: Callable[[int], str | None]) -> str:
    text = errno_text(code)
    port = address.rpartition(":")[2]
    if code == errno.EADDRINUSE:
        holder = find_holder(int(port)) if port.isdigit() else None
        return f"{text}; {holder} listens there" if holder else text
    if code in (errno.EACCES, errno.EPERM) and port.isdigit() and int(port) < 1024:
        return (
            f"{text}; ports below 1024 need CAP_NET_BIND_SERVICE, or a lower"
            " net.ipv4.ip_unprivileged_port_start"
        )
    if code == errno.EADDRNOTAVAIL:
        return f"{text}; no interface of this machine has it"
    return text


def errno_text(code: int) -> str:
    """The system's words for an error number, in lower case."""
    text = os.strerror(code)
    return text[:1].lower() + text[1:]


def cannot_open(what: str, path: str, error: OSError) -> StartError:
    """A file that the command line names couldn't be used."""
    return StartError(f"{what} '{path}': {errno_text(error.errno or 0)}")
