"""Against what a real Envoy 1.40.0 answers for the same clusters."""

import json

from tests.unit.admin.fakes import Cluster, Engine, Host, Proxy, get

STATS = {"cx_active": 1, "cx_total": 1, "rq_success": 32, "rq_total": 32}


def proxy() -> Proxy:
    here = Host(
        "127.0.0.1:19810", weight=3, region="r1", zone="z1", sub_zone="s1", stats=dict(STATS)
    )
    there = Host("[::1]:19999", hostname="localhost", stats={"cx_connect_fail": 1})
    return Proxy(Engine(cluster_list=[Cluster("c", [here]), Cluster("dead", [there])]))


TEXT = """\
c::observability_name::c
c::default_priority::max_connections::1024
c::default_priority::max_pending_requests::1024
c::default_priority::max_requests::1024
c::default_priority::max_retries::3
c::high_priority::max_connections::1024
c::high_priority::max_pending_requests::1024
c::high_priority::max_requests::1024
c::high_priority::max_retries::3
c::added_via_api::false
c::127.0.0.1:19810::cx_active::1
c::127.0.0.1:19810::cx_connect_fail::0
c::127.0.0.1:19810::cx_total::1
c::127.0.0.1:19810::rq_active::0
c::127.0.0.1:19810::rq_error::0
c::127.0.0.1:19810::rq_pending_active::0
c::127.0.0.1:19810::rq_success::32
c::127.0.0.1:19810::rq_timeout::0
c::127.0.0.1:19810::rq_total::32
c::127.0.0.1:19810::hostname::
c::127.0.0.1:19810::health_flags::healthy
c::127.0.0.1:19810::weight::3
c::127.0.0.1:19810::region::r1
c::127.0.0.1:19810::zone::z1
c::127.0.0.1:19810::sub_zone::s1
c::127.0.0.1:19810::canary::false
c::127.0.0.1:19810::priority::0
c::127.0.0.1:19810::success_rate::-1
c::127.0.0.1:19810::local_origin_success_rate::-1
"""


def test_text() -> None:
    assert get(proxy(), "/clusters?filter=^c").body == TEXT


def test_filter_and_unknown_format() -> None:
    body = get(proxy(), "/clusters?format=foo").body
    assert body.startswith(TEXT)
    assert "dead::[::1]:19999::hostname::localhost\n" in body
    wrong = get(proxy(), "/clusters?filter=(x")
    assert (wrong.status, wrong.body) == (400, "Invalid re2 regex")


def test_json() -> None:
    answer = get(proxy(), "/clusters?format=json&filter=^c")
    assert answer.content_type == "application/json"
    limits = {
        "max_connections": 1024,
        "max_pending_requests": 1024,
        "max_requests": 1024,
        "max_retries": 3,
    }
    assert json.loads(answer.body) == {
        "cluster_statuses": [
            {
                "name": "c",
                "host_statuses": [
                    {
                        "address": {
                            "socket_address": {"address": "127.0.0.1", "port_value": 19810}
                        },
                        "stats": [
                            {"name": "cx_connect_fail"},
                            {"value": "1", "name": "cx_total"},
                            {"name": "rq_error"},
                            {"value": "32", "name": "rq_success"},
                            {"name": "rq_timeout"},
                            {"value": "32", "name": "rq_total"},
                            {"type": "GAUGE", "value": "1", "name": "cx_active"},
                            {"type": "GAUGE", "name": "rq_active"},
                            {"type": "GAUGE", "name": "rq_pending_active"},
                        ],
                        "health_status": {"eds_health_status": "HEALTHY"},
                        "weight": 3,
                        "locality": {"region": "r1", "zone": "z1", "sub_zone": "s1"},
                    }
                ],
                "circuit_breakers": {"thresholds": [limits, {"priority": "HIGH", **limits}]},
                "observability_name": "c",
            }
        ]
    }
    assert answer.body.startswith('{\n "cluster_statuses": [\n  {\n   "name": "c",\n')
    assert answer.body.endswith("\n}\n")


def test_health_flags() -> None:
    asked = proxy()
    asked.engine.cluster_list[0].hosts[0].health_flags = "/failed_active_hc/failed_eds_health"
    assert "::health_flags::/failed_active_hc/failed_eds_health\n" in get(asked, "/clusters").body
    statuses = json.loads(get(asked, "/clusters?format=json").body)["cluster_statuses"]
    assert statuses[0]["host_statuses"][0]["health_status"] == {
        "failed_active_health_check": True,
        "eds_health_status": "UNHEALTHY",
    }


def test_no_clusters() -> None:
    assert get(Proxy(), "/clusters").body == ""
    assert get(Proxy(), "/clusters?format=json").body == "{}\n"
