"""Binds the admin page's socket. Cheap to import: it happens before the page is loaded."""

import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def bind(address: Mapping[str, Any]) -> socket.socket:
    """A listening socket on `address` (envoy.config.core.v3.Address as JSON).

    Raises:
        OSError: the address can't be bound.
        ValueError: an address of a kind that the admin page doesn't take.
    """
    if "pipe" in address:
        return _bind_pipe(address["pipe"])
    if "socket_address" not in address:
        raise ValueError("admin.address: only socket_address and pipe can be listened on")
    where = address["socket_address"]
    host, port = where.get("address", ""), where.get("port_value", 0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _bind_pipe(pipe: Mapping[str, Any]) -> socket.socket:
    path = pipe["path"]
    abstract = path.startswith("@")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not abstract:
            _remove_stale(Path(path))
        listening.bind("\0" + path[1:] if abstract else path)
        if not abstract and pipe.get("mode"):
            Path(path).chmod(pipe["mode"])
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _remove_stale(path: Path) -> None:
    """Removes the socket of a process that has gone; one that answers stays."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def address_text(listening: socket.socket) -> str:
    """The bound address as Envoy writes it: `127.0.0.1:9901`, `[::1]:9901`, `/run/admin.sock`."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return "@" + name[1:].decode() if isinstance(name, bytes) else str(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
