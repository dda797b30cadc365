"""Pages about the process: /ready, /server_info, /memory, /runtime and what is empty so far."""

import time
from datetime import UTC, datetime
from typing import Any

from dragoman.admin.answer import Answer, json_answer
from dragoman.admin.face import Certificate, Proxy
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


def certs(proxy: Proxy, _query: Query) -> Answer:
    """envoy.admin.v3.Certificates."""
    contexts = proxy.engine.certificates()
    # A context without certificates of its own has an entry for what it trusts, if anything.
    return json_answer({"certificates": [
        {"ca_cert": [_certificate(ca)] if ca else [], "cert_chain": [_certificate(c) for c in own]}
        for ca, own in contexts
    ]})  # fmt: skip


def _certificate(found: Certificate) -> dict[str, Any]:
    """envoy.admin.v3.CertificateDetails."""
    names = [
        (kind, name)
        for kind, all_of_them in (
            ("dns", found.dns), ("uri", found.uris), ("ip_address", found.ip_addresses),
        )
        for name in all_of_them
    ]  # fmt: skip
    return {
        "path": found.path,
        "serial_number": found.serial_number,
        "subject_alt_names": [{kind: name} for kind, name in names],
        "days_until_expiration": str(max(0, int(found.not_after - time.time()) // 86400)),
        "valid_from": _moment(found.not_before),
        "expiration_time": _moment(found.not_after),
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
