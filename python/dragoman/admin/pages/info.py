"""Pages about the process: /ready, /server_info, /memory, /runtime and what is empty so far."""

from typing import Any

from dragoman.admin.answer import Answer, json_answer
from dragoman.admin.face import Proxy
from dragoman.admin.memory import memory_usage
from dragoman.admin.query import Query


def ready(proxy: Proxy, _query: Query) -> Answer:
    """The state; 200 only for LIVE, so that load balancers and probes can ask."""
    state = proxy.state
    return Answer(f"{state}\n", 200 if state == "LIVE" else 503)


def server_info(proxy: Proxy, _query: Query) -> Answer:
    """envoy.admin.v3.ServerInfo."""
    return json_answer(proxy.server_info())


def memory(_proxy: Proxy, _query: Query) -> Answer:
    """envoy.admin.v3.Memory: what the kernel knows of the process, in bytes."""
    usage = memory_usage()
    return json_answer(
        {
            "allocated": str(usage["allocated"]),
            "heap_size": str(usage["heap_size"]),
            "pageheap_unmapped": "0",
            "pageheap_free": "0",
            "total_thread_cache": "0",
            "total_physical_bytes": str(usage["physical_size"]),
        }
    )


def certs(_proxy: Proxy, _query: Query) -> Answer:
    """envoy.admin.v3.Certificates."""
    return json_answer({"certificates": []})


def hot_restart_version(_proxy: Proxy, _query: Query) -> Answer:
    """There is no hot restart."""
    return Answer("disabled")


def init_dump(_proxy: Proxy, _query: Query) -> Answer:
    """envoy.admin.v3.UnreadyTargetsDumps: nothing here waits for a target by name."""
    return json_answer({})


def runtime(proxy: Proxy, _query: Query) -> Answer:
    """The static layers of `layered_runtime` and the value that wins (the last layer's)."""
    layers = proxy.bootstrap().body.get("layered_runtime", {}).get("layers", [])
    tables = [_flatten(layer.get("static_layer", {})) for layer in layers]
    entries = {}
    for key in sorted({key for table in tables for key in table}):
        values = [table.get(key, "") for table in tables]
        final = next(value for value in reversed(values) if value)
        entries[key] = {"layer_values": values, "final_value": final}
    return json_answer({"entries": entries, "layers": [layer["name"] for layer in layers]})


def _flatten(layer: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested structs as dotted keys; values as text."""
    table: dict[str, str] = {}
    for key, value in layer.items():
        if isinstance(value, dict) and not {"numerator", "denominator"} & value.keys():
            table |= _flatten(value, f"{prefix}{key}.")
        else:
            table[prefix + key] = _text(value)
    return table


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
