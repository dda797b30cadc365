"""Hash policies that choose no host: a warning, and its neighbours without."""

import pytest

from tests.unit.config.conftest import Load, codes
from tests.unit.config.test_check_routes import ROUTE
from tests.unit.config.texts import (
    assignment,
    bootstrap,
    cluster,
    listener,
    manager,
    routes,
    virtual_host,
)

TYPED = (
    "load_balancing_policy: {policies: [{typed_extension_config: {name: m, typed_config: "
    "{'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.%s}}}]}"
)
WEIGHTED = "weighted_clusters: {clusters: [{name: c, weight: 1}, {name: d, weight: 1}]}"


def balanced(by: str = "lb_policy: ROUND_ROBIN", name: str = "c") -> str:
    return cluster(f"type: STATIC, {assignment()}, {by}", name)


def hashed(*clusters: str, to: str = "cluster: c") -> str:
    """A configuration whose one route hashes the client's address."""
    policy = "[{connection_properties: {source_ip: true}}]"
    host = virtual_host(f"[{{match: {{prefix: /}}, route: {{{to}, hash_policy: {policy}}}}}]")
    return bootstrap(listener(manager(routes(host))), clusters=", ".join(clusters))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (hashed(balanced()), "cluster 'c' doesn't choose its hosts by hash"),
        (hashed(balanced("lb_policy: LEAST_REQUEST")), "cluster 'c' doesn't"),
        (hashed(balanced(TYPED % "random.v3.Random")), "cluster 'c' doesn't"),
        (hashed(balanced(), balanced(name="d"), to=WEIGHTED), "no cluster chooses"),
    ],
)
def test_it_is_told(load: Load, text: str, words: str) -> None:
    (found,) = load(text).diagnostics
    assert (found.severity, found.code) == ("warning", "DG0515")
    assert found.path == f"{ROUTE}.route.hash_policy"
    assert words in found.message


@pytest.mark.parametrize(
    "text",
    [
        hashed(balanced("lb_policy: MAGLEV")),
        hashed(balanced("lb_policy: RING_HASH")),
        hashed(balanced(TYPED % "maglev.v3.Maglev")),
        hashed(balanced(), balanced("lb_policy: MAGLEV", "d"), to=WEIGHTED),
        hashed(balanced(), to="cluster_header: x-cluster"),
    ],
)
def test_its_neighbour_is_fine(load: Load, text: str) -> None:
    assert codes(load(text)) == []
