"""Envoy's validation rules on whole messages."""

from typing import Any

import pytest

from dragoman.config.messages import types
from dragoman.config.validate_rules import Rules
from tests.unit.config.test_reader import read

RULES = Rules(types())
CLUSTER = "envoy.config.cluster.v3.Cluster"
HOST = "envoy.config.route.v3.VirtualHost"
MATCH = "envoy.config.route.v3.RouteMatch"
FLAGS = "envoy.config.accesslog.v3.ResponseFlagFilter"


def faults(text: str, type_name: str) -> list[tuple[str, str]]:
    message: Any
    message, found = read(text, type_name)
    assert found == []
    return [(fault.part, fault.code) for fault in RULES.faults(message)]


@pytest.mark.parametrize(
    ("text", "type_name", "expected"),
    [
        ("{name: c}", CLUSTER, []),
        ("{}", CLUSTER, [("name", "DG0201")]),
        ("{name: c, connect_timeout: 0s}", CLUSTER, [("connect_timeout", "DG0202")]),
        ("{name: c, connect_timeout: 0.001s}", CLUSTER, []),
        ("{name: c, lb_policy: 99}", CLUSTER, [("lb_policy", "DG0202")]),
        ("{name: c, dns_refresh_rate: 0.0005s}", CLUSTER, [("dns_refresh_rate", "DG0202")]),
        ("{name: a, domains: [b]}", HOST, []),
        ("{name: a}", HOST, [("domains", "DG0201")]),
        ("{name: a, domains: ['a\\nb']}".replace("'", '"'), HOST, [("domains[0]", "DG0202")]),
        ("{}", MATCH, [("", "DG0201")]),
        ("{prefix: ''}", MATCH, []),
        ("{safe_regex: {}}", MATCH, []),
        ("{path_separated_prefix: /a/}", MATCH, [("path_separated_prefix", "DG0202")]),
        ("{flags: [UH, QQ]}", FLAGS, [("flags[1]", "DG0202")]),
        ("{}", "envoy.config.core.v3.Address", [("", "DG0201")]),
        ("{}", "envoy.config.core.v3.SocketAddress", [("", "DG0201"), ("address", "DG0201")]),
        ("{path: a, mode: 512}", "envoy.config.core.v3.Pipe", [("mode", "DG0202")]),
        ("{value: 101}", "envoy.type.v3.Percent", [("value", "DG0202")]),
        ("{route: {cluster: a}}", "envoy.config.route.v3.Route", [("match", "DG0201")]),
        ("{max_direct_response_body_size_bytes: 0}", "envoy.config.route.v3.RouteConfiguration",
         []),
        ("{timeout: -1s, cluster: a}", "envoy.config.route.v3.RouteAction",
         [("timeout", "DG0202")]),
        ("{timeout: -0.5s, cluster: a}", "envoy.config.route.v3.RouteAction",
         [("timeout", "DG0202")]),
        ("{load_balancing_weight: 0}", "envoy.config.endpoint.v3.LbEndpoint",
         [("load_balancing_weight", "DG0202")]),
        ("{address_prefix: a, prefix_len: 129}", "envoy.config.core.v3.CidrRange",
         [("prefix_len", "DG0202")]),
    ],
)  # fmt: skip
def test_rules(text: str, type_name: str, expected: list[tuple[str, str]]) -> None:
    assert sorted(faults(text, type_name)) == sorted(expected)


def test_the_fault_says_what_would_be_right() -> None:
    message, _ = read("{name: c, connect_timeout: 0s}", CLUSTER)
    (fault,) = RULES.faults(message)
    assert fault.message == "'connect_timeout' must be more than 0s"


def test_the_rules_of_every_message_compile_and_run() -> None:
    """On an empty message each rule either holds or gives a fault; none breaks."""
    checked = 0
    for name in types().names():
        message = types().new(name)
        for fault in RULES.faults(message):
            assert fault.code in ("DG0201", "DG0202"), (name, fault)
            checked += 1
    types().forget_declarations()
    assert checked > 300
