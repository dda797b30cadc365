"""Shapes and refusals as recorded from a real Envoy 1.40.0."""

import json
from typing import Any

import pytest

from dragoman.admin.face import Stored
from dragoman.admin.pages.config_dump import redacted
from tests.unit.admin.fakes import NOW, Cluster, Engine, Host, Proxy, get

ADMIN = "type.googleapis.com/envoy.admin.v3."
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
HCM = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
    "HttpConnectionManager"
)
ROUTES = {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"]}]}


def proxy() -> Proxy:
    filters = [{"name": "hcm", "typed_config": {"@type": HCM, "route_config": ROUTES}}]
    listener = {"@type": LISTENER, "name": "l", "filter_chains": [{"filters": filters}]}
    clusters = [Stored(name, {"@type": CLUSTER, "name": name}, NOW) for name in ("c", "dead")]
    return Proxy(
        boot={"node": {"id": "n", "cluster": "x"}},
        engine=Engine(cluster_list=[Cluster("c", [Host(zone="z")])]),
        stored={"cluster": clusters, "listener": [Stored("l", listener, NOW)]},
    )


def dump(query: str = "", asked: Proxy | None = None) -> Any:
    answer = get(asked or proxy(), f"/config_dump{query}")
    assert answer.status == 200, answer.body
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def test_the_whole() -> None:
    configs = {config["@type"].removeprefix(ADMIN): config for config in dump()["configs"]}
    assert list(configs) == [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "ListenersConfigDump",
        "ScopedRoutesConfigDump",
        "RoutesConfigDump",
        "SecretsConfigDump",
    ]
    assert configs["BootstrapConfigDump"]["bootstrap"] == {"node": {"id": "n", "cluster": "x"}}
    assert configs["ClustersConfigDump"]["static_clusters"] == [
        {"cluster": {"@type": CLUSTER, "name": name}, "last_updated": NOW} for name in ("c", "dead")
    ]
    assert configs["RoutesConfigDump"]["static_route_configs"] == [
        {"route_config": {"@type": ROUTE, **ROUTES}, "last_updated": NOW}
    ]
    assert configs["SecretsConfigDump"] == {"@type": f"{ADMIN}SecretsConfigDump"}


def test_endpoints_on_request() -> None:
    types = [config["@type"] for config in dump("?include_eds")["configs"]]
    assert types.index(f"{ADMIN}EndpointsConfigDump") == 2
    found = dump("?resource=static_endpoint_configs&include_eds")["configs"]
    assert found[0]["@type"] == f"{ADMIN}EndpointsConfigDump.StaticEndpointConfig"
    config = found[0]["endpoint_config"]
    assert config["cluster_name"] == "c"
    assert config["endpoints"][0]["locality"] == {"zone": "z"}
    endpoint = config["endpoints"][0]["lb_endpoints"][0]
    assert endpoint["health_status"] == "HEALTHY"
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 9000


def test_one_resource_with_a_mask() -> None:
    assert dump("?resource=static_listeners&mask=listener.name") == {
        "configs": [
            {
                "@type": f"{ADMIN}ListenersConfigDump.StaticListener",
                "listener": {"@type": LISTENER, "name": "l"},
            }
        ]
    }


def test_a_mask_picks_the_dumps_it_fits() -> None:
    assert dump("?mask=bootstrap.node.id") == {
        "configs": [{"@type": f"{ADMIN}BootstrapConfigDump", "bootstrap": {"node": {"id": "n"}}}]
    }
    assert dump("?mask=last_updated") == {
        "configs": [{"@type": f"{ADMIN}BootstrapConfigDump", "last_updated": NOW}]
    }


def test_names_match_whole() -> None:
    found = dump("?resource=static_clusters&name_regex=c")["configs"]
    assert [entry["cluster"]["name"] for entry in found] == ["c"]
    assert dump("?resource=static_clusters&name_regex=zzz") == {}
    assert dump("?resource=dynamic_listeners") == {}


def test_resources_from_a_control_plane() -> None:
    asked = Proxy(
        stored={
            "cluster": [Stored("c", {"name": "c"}, NOW, "v7")],
            "listener": [Stored("l", {"name": "l"}, NOW, "v8")],
            "secret": [Stored("s", {"name": "s"}, NOW, "v9")],
        }
    )
    cluster = dump("?resource=dynamic_active_clusters", asked)["configs"][0]
    assert cluster["version_info"] == "v7"
    listener = dump("?resource=dynamic_listeners", asked)["configs"][0]
    assert listener["name"] == "l"
    assert listener["active_state"]["version_info"] == "v8"
    secret = dump("?resource=dynamic_active_secrets", asked)["configs"][0]
    assert (secret["name"], secret["version_info"]) == ("s", "v9")


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ("resource=foo", 404, "foo not found in config dump"),
        (
            "resource=bootstrap",
            400,
            "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field",
        ),
        ("mask=foo", 400, "FieldMask foo could not be successfully applied to any configs."),
        (
            "mask=static_clusters.cluster.name",
            400,
            "FieldMask static_clusters.cluster.name could not be successfully applied to any"
            " configs.",
        ),
    ],
)
def test_refusals(query: str, status: int, body: str) -> None:
    answer = get(proxy(), f"/config_dump?{query}")
    assert (answer.status, answer.body, answer.content_type) == (status, body, "text/plain")


def test_a_wrong_name_regex() -> None:
    answer = get(proxy(), "/config_dump?name_regex=(")
    assert answer.status == 400
    assert answer.body.startswith("Error while parsing name_regex from (: unclosed group")


def test_secrets_never_leave() -> None:
    secret = {
        "name": "s",
        "tls_certificate": {
            "certificate_chain": {"filename": "c.pem"},
            "private_key": {"filename": "k.pem"},
            "password": {"inline_string": "hunter2"},
        },
    }
    keys = {"session_ticket_keys": {"keys": [{"inline_bytes": "AAAA"}, {"filename": "f"}]}}
    generic = {"generic_secret": {"secret": {"environment_variable": "TOKEN"}}}
    assert redacted([secret, keys, generic]) == [
        {
            "name": "s",
            "tls_certificate": {
                "certificate_chain": {"filename": "c.pem"},
                "private_key": {"filename": "[redacted]"},
                "password": {"inline_string": "[redacted]"},
            },
        },
        {
            "session_ticket_keys": {
                "keys": [{"inline_bytes": "W3JlZGFjdGVkXQ=="}, {"filename": "[redacted]"}]
            }
        },
        {"generic_secret": {"secret": {"environment_variable": "[redacted]"}}},
    ]
    asked = Proxy(stored={"secret": [Stored("s", secret, NOW)]}, boot={"secrets": [secret]})
    assert "hunter2" not in get(asked, "/config_dump").body


def test_what_only_sounds_secret_stays() -> None:
    message = {"keys": ["a", "b"], "secret": {"@type": "t", "name": "s"}, "path": [{"key": "k"}]}
    assert redacted(message) == message
