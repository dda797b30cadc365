"""Listeners, filter chains, and the connection manager's options that exclude each other."""

import pytest

from dragoman.config.check_listeners import is_ip
from tests.unit.config.conftest import Load, codes
from tests.unit.config.texts import (
    BUFFER,
    OTHER_ADDRESS,
    ROUTER,
    bootstrap,
    listener,
    manager,
    with_manager,
)


def first_error(load: Load, text: str) -> tuple[str, str]:
    """Code and path of the first error that isn't about what is supported."""
    for each in load(text).diagnostics:
        if each.severity == "error" and not each.code.startswith("DG03"):
            return each.code, each.path
    return "", ""


CHAIN = "static_resources.listeners[0].filter_chains[0]"
DISABLED = ROUTER.replace("{name", "{disabled: true, name")
HCM = f"{CHAIN}.filters[0].typed_config"


def pair(second: str) -> str:
    return bootstrap(listener(), second)


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (pair(listener(address=OTHER_ADDRESS)), "DG0402", "static_resources.listeners[1].name"),
        (pair(listener(name="name: m, ")), "DG0403", "static_resources.listeners[1].address"),
        (
            pair(listener(name="name: m, ", more=", bind_to_port: false")),
            "DG0403",
            "static_resources.listeners[1].address",
        ),
        (
            bootstrap(
                listener(address="{pipe: {path: /tmp/a}}"),
                listener(name="name: m, ", address="{pipe: {path: /tmp/a}}"),
            ),
            "DG0403",
            "static_resources.listeners[1].address",
        ),
        (bootstrap(f"{{name: l, filter_chains: [{{filters: [{manager()}]}}]}}"), "DG0201",
         "static_resources.listeners[0]"),
        (bootstrap(listener(chains="[]")), "DG0407", "static_resources.listeners[0]"),
        (bootstrap(listener(chains=f"[{{filters: [{manager()}]}}, {{filters: [{manager()}]}}]")),
         "DG0407", "static_resources.listeners[0].filter_chains[1]"),
        (bootstrap(listener(f"{manager()}, {manager()}")), "DG0406", f"{CHAIN}.filters[0]"),
        (bootstrap(listener(manager(filters="[]"))), "DG0406", HCM),
        (bootstrap(listener(manager(filters=f"[{ROUTER}, {BUFFER}]"))), "DG0406",
         f"{HCM}.http_filters[0]"),
        (bootstrap(listener(manager(filters=f"[{ROUTER}, {ROUTER}]"))), "DG0406",
         f"{HCM}.http_filters[0]"),
        (bootstrap(listener(manager(filters=f"[{BUFFER}]"))), "DG0406", f"{HCM}.http_filters[0]"),
        (bootstrap(listener(manager(filters=f"[{DISABLED}]"))), "DG0406",
         f"{HCM}.http_filters[0].disabled"),
        (with_manager("strip_matching_host_port: true, strip_any_host_port: true"), "DG0408",
         f"{HCM}.strip_any_host_port"),
        (with_manager("use_remote_address: true, original_ip_detection_extensions: [{name: x, "
                      'typed_config: {"@type": type.googleapis.com/envoy.extensions.http.'
                      "original_ip_detection.xff.v3.XffConfig}}]"),
         "DG0408", f"{HCM}.original_ip_detection_extensions"),
        (bootstrap(listener(address="{socket_address: {address: localhost, port_value: 1}}")),
         "DG0410", "static_resources.listeners[0].address.socket_address.address"),
        (bootstrap(listener(address=f"{{pipe: {{path: /{'a' * 200}}}}}")), "DG0410",
         "static_resources.listeners[0].address.pipe.path"),
        (bootstrap(more="admin: {address: {socket_address: {address: localhost, port_value: 1}}}"),
         "DG0410", "admin.address.socket_address.address"),
    ],
)  # fmt: skip
def test_what_envoy_refuses(load: Load, text: str, code: str, path: str) -> None:
    assert first_error(load, text) == (code, path)


@pytest.mark.parametrize(
    "text",
    [
        bootstrap(),
        bootstrap(listener(name=""), listener(name="", address=OTHER_ADDRESS)),
        bootstrap(
            listener(address="{socket_address: {address: 127.0.0.1, port_value: 0}}"),
            listener(
                name="name: m, ", address="{socket_address: {address: 127.0.0.1, port_value: 0}}"
            ),
        ),
        bootstrap(listener(address="{pipe: {path: '@abstract'}}".replace("'", '"'))),
        bootstrap(listener(address='{socket_address: {address: "::1", port_value: 1}}')),
        bootstrap(
            listener(chains="[]", more=f", default_filter_chain: {{filters: [{manager()}]}}")
        ),
    ],
)
def test_what_envoy_accepts(load: Load, text: str) -> None:
    assert codes(load(text)) == []


def test_a_chain_without_filters_is_not_supported(load: Load) -> None:
    assert codes(load(bootstrap(listener(chains="[{}]")))) == ["DG0302"]


def test_ip_addresses() -> None:
    assert all(map(is_ip, ["127.0.0.1", "::1", "fe80::1%eth0", "::ffff:1.2.3.4"]))
    assert not any(map(is_ip, ["", "localhost", "[::1]", "1.2.3", "1.2.3.4:5", "a\0"]))
