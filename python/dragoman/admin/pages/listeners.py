"""/listeners: every listener and the addresses it is bound to."""

from typing import Any

from dragoman.admin.answer import Answer, json_answer
from dragoman.admin.face import Listener, Proxy
from dragoman.admin.pages.addresses import to_json
from dragoman.admin.query import Query


def listeners(proxy: Proxy, query: Query) -> Answer:
    """A line per bound address, or envoy.admin.v3.Listeners as JSON."""
    found = proxy.engine.listeners()
    if query.get("format") == "json":
        return json_answer({"listener_statuses": [_status(one) for one in found]} if found else {})
    return Answer("".join(f"{one.name}::{at}\n" for one in found for at in one.addresses))


def _status(listener: Listener) -> dict[str, Any]:
    first, *others = [to_json(address) for address in listener.addresses]
    status: dict[str, Any] = {"name": listener.name, "local_address": first}
    if others:
        status["additional_local_addresses"] = others
    return status
