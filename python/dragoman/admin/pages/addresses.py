"""An address as text, turned into envoy.config.core.v3.Address as JSON."""

from typing import Any


def to_json(address: str) -> dict[str, Any]:
    """`127.0.0.1:80`, `[::1]:80`, `/run/x.sock` or `@abstract`."""
    host, _, port = address.rpartition(":")
    if address.startswith(("/", "@")) or not port.isdigit():
        return {"pipe": {"path": address}}
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
