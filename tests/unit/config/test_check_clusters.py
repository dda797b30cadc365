"""Clusters and their endpoints: what Envoy checks when it loads them."""

import pytest

from tests.unit.config.conftest import Load
from tests.unit.config.test_check_listeners import first_error
from tests.unit.config.texts import (
    ENDPOINT,
    assignment,
    bootstrap,
    cluster,
    static,
    with_cluster,
)

CLUSTER = "static_resources.clusters[0]"
FIRST = f"{CLUSTER}.load_assignment.endpoints[0].lb_endpoints[0]"
HOSTNAME = "{endpoint: {address: {socket_address: {address: localhost, port_value: 1}}}}"
DNS = (
    'cluster_type: {name: envoy.clusters.dns, typed_config: {"@type": '
    "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster %s}}"
)
ROUND_ROBIN = (
    'typed_config: {"@type": type.googleapis.com/'
    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}"
)
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def policy(text: str) -> str:
    return bootstrap(clusters=static(f"load_balancing_policy: {text}"))


def options(key: str) -> str:
    return bootstrap(
        clusters=static(
            f'typed_extension_protocol_options: {{{key}: {{"@type": type.googleapis.com/{OPTIONS}, '
            "explicit_http_config: {http_protocol_options: {}}}}"
        )
    )


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (bootstrap(clusters=f"{cluster()}, {cluster()}"), "DG0401",
         "static_resources.clusters[1].name"),
        (bootstrap(clusters=static(endpoint=HOSTNAME)), "DG0410",
         f"{FIRST}.endpoint.address.socket_address.address"),
        (bootstrap(clusters=static(endpoint="{endpoint: {}}")), "DG0201", FIRST),
        (bootstrap(clusters=static(endpoint="{}")), "DG0201", FIRST),
        (with_cluster(f"type: LOGICAL_DNS, {assignment(f'{ENDPOINT}, {ENDPOINT}')}"), "DG0411",
         f"{CLUSTER}.load_assignment"),
        (with_cluster("type: LOGICAL_DNS, load_assignment: {cluster_name: c}"), "DG0411",
         f"{CLUSTER}.load_assignment"),
        (with_cluster(f"{DNS % ', all_addresses_in_single_endpoint: true'}, "
                      f"{assignment(f'{ENDPOINT}, {ENDPOINT}')}"),
         "DG0411", f"{CLUSTER}.load_assignment"),
        (bootstrap(clusters=static("lb_policy: LOAD_BALANCING_POLICY_CONFIG")), "DG0415",
         f"{CLUSTER}.lb_policy"),
        (policy("{}"), "DG0201", f"{CLUSTER}.load_balancing_policy"),
        (policy("{policies: [{typed_extension_config: {name: x}}]}"), "DG0107",
         f"{CLUSTER}.load_balancing_policy.policies[0].typed_extension_config"),
    ],
)  # fmt: skip
def test_what_is_refused(load: Load, text: str, code: str, path: str) -> None:
    assert first_error(load, text) == (code, path)


@pytest.mark.parametrize(
    "text",
    [
        with_cluster(f"type: STRICT_DNS, {assignment(HOSTNAME)}"),
        with_cluster(f"type: LOGICAL_DNS, {assignment(HOSTNAME)}"),
        with_cluster(f"{DNS % ''}, {assignment(f'{HOSTNAME}, {HOSTNAME}')}"),
        with_cluster("connect_timeout: 1s"),
        with_cluster("type: STATIC, load_assignment: {cluster_name: other}"),
        policy(f"{{policies: [{{typed_extension_config: {{name: x, {ROUND_ROBIN}}}}}]}}"),
        options(OPTIONS),
    ],
)
def test_what_is_accepted(load: Load, text: str) -> None:
    assert load(text).diagnostics == []


def test_protocol_options_have_one_name(load: Load) -> None:
    (fault,) = load(options("foo")).diagnostics
    assert (fault.code, fault.path) == (
        "DG0303", f'{CLUSTER}.typed_extension_protocol_options["foo"]',
    )  # fmt: skip
