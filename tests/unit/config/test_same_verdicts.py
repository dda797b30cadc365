"""Accept and refuse as a real Envoy does: each configuration is given to both.

Differences on purpose stand in DIFFERENT with their reason, and are checked to be real ones.
What Envoy accepts and this release doesn't support isn't here; tests/differential serves the rest.
"""

import importlib.util
import subprocess
from pathlib import Path

import pytest

from tests.unit.config.conftest import Load
from tests.unit.config.texts import (
    ADDRESS,
    BUFFER,
    ENDPOINT,
    OTHER_ADDRESS,
    ROUTER,
    assignment,
    bootstrap,
    cluster,
    listener,
    manager,
    routes,
    static,
    virtual_host,
    with_action,
    with_cluster,
    with_domains,
    with_manager,
    with_route,
)

SPEC = importlib.util.find_spec("envoy")
assert SPEC is not None
assert SPEC.origin is not None or SPEC.submodule_search_locations
FOLDER = Path(next(iter(SPEC.submodule_search_locations or [str(Path(SPEC.origin or "").parent)])))
ENVOY = FOLDER / "_bin" / "envoy"

TYPE = '"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'
HOSTNAME = ENDPOINT.replace("127.0.0.1", "localhost")
UNKNOWN = "[{match: {prefix: /}, route: {cluster: zz}}]"
STDOUT = '"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog'


def router(config: str) -> str:
    """A configuration whose router has this typed_config."""
    return bootstrap(listener(manager(filters=f"[{{name: r, typed_config: {config}}}]")))


def weighted(clusters: str) -> str:
    return with_route(f"route: {{weighted_clusters: {{clusters: [{clusters}]}}}}")


def table(more: str) -> str:
    return bootstrap(listener(manager(routes(more=f", {more}"))))


def log(more: str) -> str:
    return with_manager(f"access_log: [{{name: a, {more} typed_config: {{{STDOUT}}}}}]")


# fmt: off
BOTH_AGREE = {
    "plain": bootstrap(),
    "enum in lower case": with_manager("codec_type: auto"),
    "enum in mixed case": with_manager("codec_type: Http1"),
    "enum by number": with_manager("codec_type: 1"),
    "enum by number as text": with_manager('codec_type: "1"'),
    "enum with an unknown name": with_manager("codec_type: HTTP9"),
    "enum with an unknown number": with_manager("codec_type: 77"),
    "camelCase": bootstrap(clusters=static("lbPolicy: RANDOM")),
    "PascalCase": bootstrap(clusters=static("LbPolicy: RANDOM")),
    "unknown field": with_manager("foo: 1"),
    "unknown field, null": with_manager("foo: null"),
    "null text": with_manager("server_name: null"),
    "null message": with_manager("http_protocol_options: "),
    "null list": with_manager("access_log: ~"),
    "null in a list of texts": bootstrap(listener(manager(routes(
        virtual_host(domains='["*", null]'))))),
    "text from a number": with_manager("server_name: 5"),
    "text from a boolean": with_manager("server_name: yes"),
    "text from a fraction": with_manager("server_name: 1.5"),
    "text from a wide number": with_manager("server_name: 5000000000"),
    "boolean from quotes": with_manager('merge_slashes: "true"'),
    "boolean from y": with_manager("merge_slashes: y"),
    "boolean from yEs": with_manager("merge_slashes: yEs"),
    "boolean from 0": with_manager("merge_slashes: 0"),
    "boolean from a word": with_manager("merge_slashes: foo"),
    "number from quotes": with_manager('xff_num_trusted_hops: "5"'),
    "number from 5.0": with_manager("xff_num_trusted_hops: 5.0"),
    "number from 5.5": with_manager("xff_num_trusted_hops: 5.5"),
    "number from 1e2": with_manager("xff_num_trusted_hops: 1e2"),
    "number from hexadecimal": with_manager("xff_num_trusted_hops: 0x10"),
    "number from 08": with_manager("xff_num_trusted_hops: 08"),
    "number from 0o10": with_manager("xff_num_trusted_hops: 0o10"),
    "number below zero": with_manager("xff_num_trusted_hops: -5"),
    "number too large": with_manager("xff_num_trusted_hops: 5000000000"),
    "number with a blank": with_manager('xff_num_trusted_hops: " 5"'),
    "number with lines": with_manager("xff_num_trusted_hops: 1_000"),
    "wrapper as an object": with_manager("max_request_headers_kb: {value: 5}"),
    "wrapper as a list": with_manager("max_request_headers_kb: [5]"),
    "fraction from a text": bootstrap(clusters=static(
        'common_lb_config: {healthy_panic_threshold: {value: "5.5"}}')),
    "NaN": bootstrap(clusters=static("common_lb_config: {healthy_panic_threshold: {value: NaN}}")),
    ".nan": bootstrap(clusters=static(
        "common_lb_config: {healthy_panic_threshold: {value: .nan}}")),
    "duration": with_manager("stream_idle_timeout: 1.5s"),
    "duration .5s": with_manager("stream_idle_timeout: .5s"),
    "duration 5": with_manager("stream_idle_timeout: 5"),
    "duration 5ms": with_manager("stream_idle_timeout: 5ms"),
    "duration below zero": with_manager("stream_idle_timeout: -1s"),
    "duration as an object": with_manager("stream_idle_timeout: {seconds: 5}"),
    "duration of ten digits": with_manager("stream_idle_timeout: 1.0123456789s"),
    "duration too long": with_manager("stream_idle_timeout: 315576000001s"),
    "list for a message": with_manager("http_protocol_options: []"),
    "text for a message": with_manager('http_protocol_options: ""'),
    "one value for a list": bootstrap(listener(manager(routes(virtual_host(domains='"*"'))))),
    "two of a oneof": with_action("host_rewrite_literal: a, auto_host_rewrite: true"),
    "two of a oneof, one null": with_action("host_rewrite_literal: a, auto_host_rewrite: null"),
    "alias": with_manager("server_name: &x abc, via: *x"),
    "merge key": with_manager("common_http_protocol_options: {<<: {idle_timeout: 1s}}"),
    "tag of a text": with_manager("server_name: !!str 5"),
    "other tag": with_manager("server_name: !foo abc"),
    "number as a map's key": bootstrap(clusters=static("metadata: {filter_metadata: {5: {a: 1}}}")),
    "complex key": bootstrap(clusters=static("metadata: {filter_metadata: {? [a] : {a: 1}}}")),
    "type anywhere in the mapping": router(f"{{dynamic_stats: true, {TYPE}}}"),
    "no type": router("{dynamic_stats: true}"),
    "empty typed_config": router("{}"),
    "other host in the type": router(f"{{{TYPE.replace('type.googleapis.com', 'a.b')}}}"),
    "no host in the type": router(f"{{{TYPE.replace('type.googleapis.com/', '')}}}"),
    "unknown type": router(f"{{{TYPE}x}}"),
    "known type, not a filter": router(
        '{"@type": type.googleapis.com/envoy.config.core.v3.Pipe, path: a}'),
    "TypedStruct": router(
        '{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: '
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, "
        "value: {dynamic_stats: true}}"),
    "TypedStruct, unknown field": router(
        '{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: '
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, value: {foo: 1}}"),
    "network filter by name": bootstrap(listener(
        "{name: envoy.filters.network.http_connection_manager}")),
    "access log by name": with_manager("access_log: [{name: envoy.access_loggers.stdout}]"),
    "empty": "",
    "null": "null",
    "a list": "- a",
    "an empty mapping": "{}",
    "a tab": bootstrap(more="\tnode: {id: x}"),
    "unknown cluster": bootstrap(listener(manager(routes(virtual_host(UNKNOWN))))),
    "unknown cluster, not validated": bootstrap(listener(manager(routes(
        virtual_host(UNKNOWN), more=", validate_clusters: false")))),
    "unknown weighted cluster": weighted("{name: zz, weight: 1}"),
    "weights of zero": weighted("{name: c, weight: 0}"),
    "weights too large": weighted("{name: c, weight: 4294967295}, {name: c, weight: 4294967295}"),
    "no weight": weighted("{name: c}"),
    "no name": weighted("{weight: 1}"),
    "weighted by header": weighted("{cluster_header: x, weight: 1}"),
    "no clusters": weighted(""),
    "empty cluster name": with_route('route: {cluster: ""}'),
    "no cluster": with_route("route: {timeout: 1s}"),
    "no action": bootstrap(listener(manager(routes(virtual_host("[{match: {prefix: /}}]"))))),
    "no match": bootstrap(listener(manager(routes(virtual_host("[{route: {cluster: c}}]"))))),
    "empty match": with_route("route: {cluster: c}", "{}"),
    "same domain twice": with_domains("[a]", "[A]"),
    "two wildcards": with_domains('["*"]', '["*"]'),
    "strange wildcards": with_domains('["a.*.com", "**"]'),
    "no domains": with_domains("[]"),
    "same virtual host name": bootstrap(listener(manager(routes(
        virtual_host(domains="[a]"), virtual_host(domains="[b]"))))),
    "no virtual hosts": bootstrap(listener(manager("{}"))),
    "empty regex": with_route("route: {cluster: c}", '{safe_regex: {regex: ""}}'),
    "prefix with a slash": with_route("route: {cluster: c}", "{path_separated_prefix: /a/}"),
    "two rewrites": with_action(
        "prefix_rewrite: /b, regex_rewrite: {pattern: {regex: a}, substitution: b}"),
    "redirect to nowhere": with_route("redirect: {}"),
    "redirect with two paths": with_route("redirect: {path_redirect: /a, prefix_rewrite: /b}"),
    "status 99": with_route("direct_response: {status: 99}"),
    "status 600": with_route("direct_response: {status: 600}"),
    "body too large": with_route(
        f'direct_response: {{status: 200, body: {{inline_string: "{"a" * 5000}"}}}}'),
    "body from nowhere": with_route("direct_response: {status: 200, body: {filename: /nope}}"),
    "header without name": table('request_headers_to_add: [{header: {key: "", value: x}}]'),
    "host header": table("request_headers_to_add: [{header: {key: Host, value: x}}]"),
    "host header removed": table("response_headers_to_remove: [host]"),
    "empty header removed": table('request_headers_to_remove: [""]'),
    "header with a line break": table(
        'request_headers_to_add: [{header: {key: a, value: "b\\nc"}}]'),
    "append and append_action": table(
        "request_headers_to_add: [{header: {key: a, value: a}, append: true, "
        "append_action: ADD_IF_ABSENT}]"),
    "append": table("request_headers_to_add: [{header: {key: a, value: a}, append: true}]"),
    "router not last": bootstrap(listener(manager(filters=f"[{ROUTER}, {BUFFER}]"))),
    "no router": bootstrap(listener(manager(filters=f"[{BUFFER}]"))),
    "two routers": bootstrap(listener(manager(filters=f"[{ROUTER}, {ROUTER}]"))),
    "optional router": bootstrap(listener(manager(
        filters=f"[{ROUTER.replace('{name', '{is_optional: true, name')}]"))),
    "disabled router": bootstrap(listener(manager(
        filters=f"[{ROUTER.replace('{name', '{disabled: true, name')}]"))),
    "no stat_prefix": bootstrap(listener(manager().replace("stat_prefix: s, ", ""))),
    "no filter chains": bootstrap(listener(chains="[]")),
    "default chain only": bootstrap(listener(
        chains="[]", more=f", default_filter_chain: {{filters: [{manager()}]}}")),
    "two managers": bootstrap(listener(f"{manager()}, {manager()}")),
    "same address": bootstrap(listener(), listener(name="name: m, ")),
    "port 0 twice": bootstrap(*(
        listener(name=f"name: {n}, ", address=ADDRESS.replace("18080", "0"))
        for n in "ab")),
    "same pipe": bootstrap(*(
        listener(name=f"name: {n}, ", address="{pipe: {path: /tmp/dragoman.sock}}") for n in "ab")),
    "two without names": bootstrap(listener(name=""), listener(name="", address=OTHER_ADDRESS)),
    "no address": bootstrap(f"{{name: l, filter_chains: [{{filters: [{manager()}]}}]}}"),
    "empty address": bootstrap(listener(address="{}")),
    "address by name": bootstrap(listener(
        address="{socket_address: {address: localhost, port_value: 1}}")),
    "port 65536": bootstrap(listener(
        address="{socket_address: {address: 127.0.0.1, port_value: 65536}}")),
    "no port": bootstrap(listener(address="{socket_address: {address: 127.0.0.1}}")),
    "IPv6 in brackets": bootstrap(listener(
        address='{socket_address: {address: "[::1]", port_value: 1}}')),
    "long pipe": bootstrap(listener(address=f"{{pipe: {{path: /{'a' * 200}}}}}")),
    "cluster without type": with_cluster("connect_timeout: 1s"),
    "cluster twice": bootstrap(clusters=f"{cluster()}, {cluster()}"),
    "connect_timeout 0": bootstrap(clusters=static("connect_timeout: 0s")),
    "static name": bootstrap(clusters=static(endpoint=HOSTNAME)),
    "static without address": bootstrap(clusters=static(endpoint="{}")),
    "weight 0": bootstrap(clusters=static(
        endpoint=ENDPOINT.replace("{endpoint", "{load_balancing_weight: 0, endpoint"))),
    "other assignment name": with_cluster("type: STATIC, load_assignment: {cluster_name: d}"),
    "assignment without name": with_cluster("type: STATIC, load_assignment: {}"),
    "DNS name": with_cluster(f"type: STRICT_DNS, {assignment(HOSTNAME)}"),
    "logical DNS, two": with_cluster(
        f"type: LOGICAL_DNS, {assignment(f'{ENDPOINT}, {ENDPOINT}')}"),
    "logical DNS, none": with_cluster("type: LOGICAL_DNS, load_assignment: {cluster_name: c}"),
    "type and cluster_type": with_cluster("type: STATIC, cluster_type: {name: envoy.clusters.dns}"),
    "policy missing": bootstrap(clusters=static("lb_policy: LOAD_BALANCING_POLICY_CONFIG")),
    "policy empty": bootstrap(clusters=static("load_balancing_policy: {}")),
    "choice_count 1": bootstrap(clusters=static(
        "lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 1}")),
    "same breaker twice": bootstrap(clusters=static(
        "circuit_breakers: {thresholds: [{max_connections: 1}, {max_connections: 2}]}")),
    "panic 101": bootstrap(clusters=static(
        "common_lb_config: {healthy_panic_threshold: {value: 101}}")),
    "admin without address": bootstrap(more="admin: {}"),
    "admin log nowhere": bootstrap(more="admin: {access_log_path: /nope/x}"),
    "flush 0": bootstrap(more="stats_flush_interval: 0s"),
    "flush twice": bootstrap(more="stats_flush_interval: 5s\nstats_flush_on_admin: true"),
    "log filter empty": log("filter: {},"),
    "log filter and of one": log(
        "filter: {and_filter: {filters: [{not_health_check_filter: {}}]}},"),
    "log filter unknown flag": log("filter: {response_flag_filter: {flags: [QQ]}},"),
    "headers 0 KiB": with_manager("max_request_headers_kb: 0"),
    "drain at once": with_manager("drain_timeout: 0s"),
    "strip twice": with_manager("strip_matching_host_port: true, strip_any_host_port: true"),
    "no CIDR": with_manager("internal_address_config: {cidr_ranges: [{address_prefix: foo}]}"),
    "via with a line break": with_manager('via: "a\\nb"'),
    "mapper without filter": with_manager("local_reply_config: {mappers: [{}]}"),
    "header without matcher": with_route(
        "route: {cluster: c}", "{prefix: /, headers: [{name: a}]}"),
    "regex in any case": with_route(
        "route: {cluster: c}",
        "{prefix: /, headers: [{name: a, string_match: "
        "{safe_regex: {regex: a}, ignore_case: true}}]}"),
    "fraction without default": with_route(
        "route: {cluster: c}", "{prefix: /, runtime_fraction: {runtime_key: a}}"),
}

# configuration -> (Envoy accepts it, why Dragoman doesn't do the same)
DIFFERENT = {
    "duplicate key": (with_manager("server_name: a, server_name: b"), True,
                      "Envoy drops one in silence"),
    "field under both names": (bootstrap(clusters=static("lbPolicy: RANDOM, lb_policy: RANDOM")),
                               True, "Envoy drops one in silence"),
    "second document": (bootstrap(more="---\nfoo: 1\n"), True, "Envoy ignores it in silence"),
    "unclosed quotes": (bootstrap(more='node:\n  id: "a\n'), True, "a truncated file"),
    "no blank after a colon": ("node: {id:}", True, "libyaml reads YAML 1.1 more strictly"),
    "control character": (bootstrap(more='node: {id: "a\x01b"}'), True, "no YAML"),
    "listener name twice": (bootstrap(listener(), listener(address=OTHER_ADDRESS)), True,
                            "Envoy replaces the first one in silence"),
    "no HTTP filters": (bootstrap(listener(manager(filters="[]"))), True,
                        "Envoy never answers a request"),
    "no network filters": (bootstrap(listener(chains="[{}]")), True,
                           "Envoy closes every connection"),
    "33 bits of IPv4": (with_manager(
        "internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 33}]}"),
        True, "Envoy takes it for 32"),
    "router by its name": (bootstrap(listener(manager(
        filters="[{name: envoy.filters.http.router}]"))), False,
        "Envoy's own example configs/envoy-demo.yaml has it"),
    "broken regex": (with_route("route: {cluster: c}", '{safe_regex: {regex: "("}}'), False,
                     "the engine says so when it compiles the configuration"),
    "unknown format": (table("request_headers_to_add: [{header: {key: a, value: \"%FOO%\"}}]"),
                       False, "the engine says so when it compiles the configuration"),
}
# fmt: on


def envoy_accepts(path: Path) -> bool:
    command = [str(ENVOY), "--mode", "validate", "--concurrency", "1", "-l", "off", "-c", str(path)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert result.returncode in (0, 1), result
    return result.returncode == 0


@pytest.mark.parametrize("name", BOTH_AGREE)
def test_both_agree(load: Load, tmp_path: Path, name: str) -> None:
    loaded = load(BOTH_AGREE[name])
    assert loaded.ok == envoy_accepts(tmp_path / "config.yaml"), loaded.diagnostics


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_on_purpose(load: Load, tmp_path: Path, name: str) -> None:
    text, accepted, _why = DIFFERENT[name]
    assert load(text).ok is not accepted
    assert envoy_accepts(tmp_path / "config.yaml") is accepted
