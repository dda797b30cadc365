"""Route configurations: what Envoy checks when it loads them."""

from pathlib import Path

import pytest

from tests.unit.config.conftest import Load
from tests.unit.config.test_check_listeners import HCM, first_error
from tests.unit.config.texts import (
    bootstrap,
    listener,
    manager,
    routes,
    virtual_host,
    with_action,
    with_domains,
    with_manager,
    with_route,
)

TABLE = f"{HCM}.route_config"
ROUTE = f"{TABLE}.virtual_hosts[0].routes[0]"


def with_table(more: str) -> str:
    return bootstrap(listener(manager(routes(more=f", {more}"))))


def unknown(more: str = "") -> str:
    host = virtual_host("[{match: {prefix: /}, route: {cluster: zz}}]")
    return bootstrap(listener(manager(routes(host, more=more))))


def weighted(*clusters: str) -> str:
    return with_route(f"route: {{weighted_clusters: {{clusters: [{', '.join(clusters)}]}}}}")


BODY = f'direct_response: {{status: 200, body: {{inline_string: "{"a" * 5000}"}}}}'


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (unknown(), "DG0404", f"{ROUTE}.route.cluster"),
        (unknown(", validate_clusters: true"), "DG0404", f"{ROUTE}.route.cluster"),
        (weighted("{name: zz, weight: 1}"), "DG0404",
         f"{ROUTE}.route.weighted_clusters.clusters[0].name"),
        (with_action("request_mirror_policies: [{cluster: zz}]"), "DG0404",
         f"{ROUTE}.route.request_mirror_policies[0].cluster"),
        (weighted("{name: c, weight: 0}"), "DG0409", f"{ROUTE}.route.weighted_clusters.clusters"),
        (weighted("{name: c, weight: 4294967295}", "{name: c, weight: 1}"), "DG0409",
         f"{ROUTE}.route.weighted_clusters.clusters"),
        (weighted("{weight: 1}"), "DG0201", f"{ROUTE}.route.weighted_clusters.clusters[0]"),
        (weighted("{name: c}"), "DG0201", f"{ROUTE}.route.weighted_clusters.clusters[0]"),
        (weighted("{name: c, cluster_header: x, weight: 1}"), "DG0408",
         f"{ROUTE}.route.weighted_clusters.clusters[0].cluster_header"),
        (with_domains("[a]", "[a]"), "DG0405", f"{TABLE}.virtual_hosts[1].domains[0]"),
        (with_domains("[a]", "[b, A]"), "DG0405", f"{TABLE}.virtual_hosts[1].domains[1]"),
        (with_domains("[a, a]"), "DG0405", f"{TABLE}.virtual_hosts[0].domains[1]"),
        (with_domains('["*"]', '["*"]'), "DG0405", f"{TABLE}.virtual_hosts[1].domains[0]"),
        (with_domains('["*.a"]', '["*.a"]'), "DG0405", f"{TABLE}.virtual_hosts[1].domains[0]"),
        (with_action("prefix_rewrite: /b, regex_rewrite: {pattern: {regex: a}, substitution: b}"),
         "DG0408", f"{ROUTE}.route.regex_rewrite"),
        (with_route(BODY), "DG0412", f"{ROUTE}.direct_response.body"),
        (with_route("direct_response: {status: 200, body: {filename: /nonexistent}}"), "DG0413",
         f"{ROUTE}.direct_response.body.filename"),
        (with_route("direct_response: {status: 200, body: {environment_variable: NOT_SET_X}}"),
         "DG0413", f"{ROUTE}.direct_response.body.environment_variable"),
        (with_table("request_headers_to_add: [{header: {key: Host, value: x}}]"), "DG0414",
         f"{TABLE}.request_headers_to_add[0].header.key"),
        (with_table('response_headers_to_add: [{header: {key: ":path", value: x}}]'), "DG0414",
         f"{TABLE}.response_headers_to_add[0].header.key"),
        (with_table("request_headers_to_remove: [a, HOST]"), "DG0414",
         f"{TABLE}.request_headers_to_remove[1]"),
        (with_route("route: {cluster: c}", more=', response_headers_to_remove: [":status"]'),
         "DG0414", f"{ROUTE}.response_headers_to_remove[0]"),
        (with_table("request_headers_to_add: [{header: {key: a, value: a}, append: true, "
                    "append_action: ADD_IF_ABSENT}]"),
         "DG0408", f"{TABLE}.request_headers_to_add[0].append"),
        (with_route("route: {cluster: c}", "{prefix: /, headers: [{name: a, string_match: "
                    "{safe_regex: {regex: a}, ignore_case: true}}]}"),
         "DG0408", f"{ROUTE}.match.headers[0].string_match.ignore_case"),
        (with_manager("internal_address_config: {cidr_ranges: [{address_prefix: foo}]}"),
         "DG0410", f"{HCM}.internal_address_config.cidr_ranges[0].address_prefix"),
        (with_manager("internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, "
                      "prefix_len: 33}]}"),
         "DG0410", f"{HCM}.internal_address_config.cidr_ranges[0].prefix_len"),
    ],
)  # fmt: skip
def test_what_is_refused(load: Load, text: str, code: str, path: str) -> None:
    assert first_error(load, text) == (code, path)


@pytest.mark.parametrize(
    "text",
    [
        unknown(", validate_clusters: false"),
        with_domains("[a]", "[b]", '["*"]', '["*.a", "a.*"]'),
        with_domains('["a.*.com"]', '["**"]'),
        weighted("{name: c, weight: 0}", "{name: c, weight: 1}"),
        weighted("{cluster_header: x, weight: 1}"),
        with_route("route: {cluster_header: x}"),
        with_table("request_headers_to_add: [{header: {key: a, value: a}, append_action: "
                   "ADD_IF_ABSENT}]"),
        bootstrap(listener(manager(routes(
            virtual_host(f"[{{match: {{prefix: /}}, {BODY}}}]"),
            more=", max_direct_response_body_size_bytes: 5000",
        )))),
    ],
)  # fmt: skip
def test_what_is_accepted(load: Load, text: str) -> None:
    assert load(text).diagnostics == []


def test_a_near_cluster_is_suggested(load: Load) -> None:
    text = unknown().replace("zz", "backendd").replace("name: c,", "name: backend,")
    (fault,) = load(text).diagnostics
    assert fault.help == "did you mean 'backend'?"


def test_bodies_from_files_count_too(load: Load, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 4097)
    text = with_route(f'direct_response: {{status: 200, body: {{filename: "{body}"}}}}')
    assert [d.code for d in load(text).diagnostics] == ["DG0412"]
    body.write_bytes(b"x" * 4096)
    assert load(text).ok
