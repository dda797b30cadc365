"""Trees into messages. What is accepted and refused was compared with a real Envoy; see also
test_same_verdicts.py."""

from typing import Any

import pytest

from dragoman.config.messages import types
from dragoman.config.reader import Reader
from dragoman.config.source import Source, parse

ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
CLUSTER = "envoy.config.cluster.v3.Cluster"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"


def read(
    text: str, type_name: str, format: str = "yaml", allow_unknown: bool = False
) -> tuple[Any, list[Any]]:
    """The message, and (code, line, column, path) of each fault."""
    source = Source("x", format, text.encode())
    assert [f for f in parse(source) if f.code != "DG0101"] == []
    assert source.root is not None
    message = types().new(type_name)
    reader = Reader(types(), source, allow_unknown=allow_unknown)
    reader.read(source.root, message)
    return message, reader.found


def faults(text: str, type_name: str) -> list[tuple[str, int, int, str]]:
    return [(f.code, f.position.line, f.position.column, f.path) for f in read(text, type_name)[1]]


def test_fields_under_both_names_and_of_every_kind() -> None:
    message, found = read(
        """
name: c
connectTimeout: 1.5s
lb_policy: random
type: 1
per_connection_buffer_limit_bytes: "0x10"
common_lb_config: {healthy_panic_threshold: {value: 12.5}}
respect_dns_ttl: yes
metadata:
  filter_metadata:
    a: {n: 1.5, b: true, l: [1, x, null], m: {k: v}}
dns_lookup_family: V4_only
""".replace('"0x10"', "0x10"),
        CLUSTER,
    )
    assert found == []
    assert (message.name, message.lb_policy, message.type) == ("c", 3, 1)
    assert (message.connect_timeout.seconds, message.connect_timeout.nanos) == (1, 500_000_000)
    assert message.per_connection_buffer_limit_bytes.value == 16
    assert message.common_lb_config.healthy_panic_threshold.value == 12.5
    assert message.respect_dns_ttl
    struct = message.metadata.filter_metadata["a"]
    # As in Envoy, YAML's fractions reach a Struct as texts.
    assert struct.fields["n"].string_value == "1.5"
    assert struct.fields["b"].bool_value
    assert [v.WhichOneof("kind") for v in struct.fields["l"].list_value.values] == [
        "number_value", "string_value", "null_value",
    ]  # fmt: skip
    assert struct.fields["m"].struct_value.fields["k"].string_value == "v"


def test_fractions_of_json_stay_numbers() -> None:
    message, _ = read('{"metadata": {"filter_metadata": {"a": {"n": 1.5}}}}', CLUSTER, "json")
    assert message.metadata.filter_metadata["a"].fields["n"].number_value == 1.5


@pytest.mark.parametrize("field", ["name", "metadata", "connect_timeout", "health_checks"])
def test_null_is_not_set(field: str) -> None:
    message, found = read(f"{field}: null", CLUSTER)
    assert (found, message.ListFields()) == ([], [])


def test_null_in_a_list_is_an_empty_entry() -> None:
    message, found = read(
        "{domains: [a, null], routes: [null]}", "envoy.config.route.v3.VirtualHost"
    )
    assert found == []
    assert list(message.domains) == ["a", ""]
    assert len(message.routes) == 1


def test_a_single_value_is_a_list_of_one() -> None:
    message, found = read('{domains: "*"}', "envoy.config.route.v3.VirtualHost")
    assert (found, list(message.domains)) == ([], ["*"])


def test_an_empty_message_is_set() -> None:
    message, _ = read("http_protocol_options: {}", CLUSTER)
    assert message.HasField("http_protocol_options")


def test_wrappers_and_durations_may_be_objects() -> None:
    message, found = read(
        '{connect_timeout: {seconds: "5", nanos: 3}, cleanup_interval: {}, '
        "max_requests_per_connection: {value: 7}}",
        CLUSTER,
    )
    assert found == []
    assert message.connect_timeout.seconds == 5
    assert message.HasField("cleanup_interval")
    assert message.max_requests_per_connection.value == 7


def test_times() -> None:
    message, found = read("2026-01-31T12:00:00.5Z", "google.protobuf.Timestamp")
    assert (found, message.nanos) == ([], 500_000_000)
    assert faults("yesterday", "google.protobuf.Timestamp")[0][0] == "DG0104"


@pytest.mark.parametrize(
    ("text", "code", "column", "path"),
    [
        ("nam: c", "DG0102", 1, ""),
        ("nam: null", "DG0102", 1, ""),
        ("StatName: c", "DG0102", 1, ""),
        ("name: 5", "DG0103", 7, "name"),
        ("name: {}", "DG0103", 7, "name"),
        ("name: []", "DG0103", 7, "name"),
        ("metadata: 5", "DG0103", 11, "metadata"),
        ("metadata: ''", "DG0103", 11, "metadata"),
        ("metadata: []", "DG0103", 11, "metadata"),
        ("metadata: {filter_metadata: [a]}", "DG0103", 29, "metadata.filter_metadata"),
        ("lb_policy: SOME", "DG0105", 12, "lb_policy"),
        ("connect_timeout: 5", "DG0103", 18, "connect_timeout"),
        ("connect_timeout: [1s]", "DG0103", 18, "connect_timeout"),
        ("max_requests_per_connection: -1", "DG0104", 30, "max_requests_per_connection"),
        ("{name: a, lb_policy: RANDOM, lbPolicy: RANDOM}", "DG0101", 30, ""),
        ("{type: STATIC, cluster_type: {name: a}}", "DG0106", 16, ""),
        ("{<<: {name: a}}", "DG0102", 2, ""),
        ("health_checks: [{timeout: x}]", "DG0104", 27, "health_checks[0].timeout"),
    ],
)
def test_faults_have_a_place_and_a_path(text: str, code: str, column: int, path: str) -> None:
    assert faults(text, CLUSTER) == [(code, 1, column, path)]


def test_null_takes_no_part_in_a_oneof() -> None:
    assert faults("{type: STATIC, cluster_type: null}", CLUSTER) == []


def test_every_fault_of_a_text_is_told() -> None:
    found = faults("nam: a\nlb_policy: X\nconnect_timeout: soon\ntyp: STATIC\n", CLUSTER)
    assert [(code, line) for code, line, _, _ in found] == [
        ("DG0102", 1), ("DG0105", 2), ("DG0104", 3), ("DG0102", 4),
    ]  # fmt: skip


def test_near_names_are_suggested() -> None:
    _, (fault,) = read("conect_timeout: 1s", CLUSTER)
    assert fault.help == "did you mean 'connect_timeout'?"


def test_unknown_fields_can_be_let_through() -> None:
    message, found = read("{nam: a, lb_policy: X, name: b}", CLUSTER, allow_unknown=True)
    assert message.name == "b"
    assert [(f.code, f.severity) for f in found] == [("DG0503", "warning"), ("DG0503", "warning")]


def test_typed_configuration() -> None:
    text = f'{{name: r, typed_config: {{dynamic_stats: true, "@type": {ROUTER}}}}}'
    message, found = read(text, FILTER)
    assert found == []
    assert message.typed_config.type_url == ROUTER
    router = types().new("envoy.extensions.filters.http.router.v3.Router")
    router.ParseFromString(message.typed_config.value)
    assert router.dynamic_stats.value


@pytest.mark.parametrize("struct", ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"])
def test_a_typed_struct_is_read_as_what_it_names(struct: str) -> None:
    text = (
        f'{{name: r, typed_config: {{"@type": type.googleapis.com/{struct}, type_url: {ROUTER}, '
        "value: {dynamic_stats: true, nope: 1}}}"
    )
    message, found = read(text, FILTER)
    assert message.typed_config.type_url == ROUTER
    assert [(f.code, f.path) for f in found] == [("DG0102", "typed_config")]


def test_well_known_types_in_a_typed_configuration_stand_under_value() -> None:
    url = "type.googleapis.com/google.protobuf.Duration"
    message, found = read(f'{{"@type": {url}, value: 5s}}', "google.protobuf.Any")
    assert found == []
    duration = types().new("google.protobuf.Duration")
    duration.ParseFromString(message.value)
    assert duration.seconds == 5


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("{dynamic_stats: true}", "DG0107"),
        ('{"@type": 5}', "DG0107"),
        ('{"@type": envoy.extensions.filters.http.router.v3.Router}', "DG0104"),
        (f'{{"@type": {ROUTER}x}}', "DG0108"),
        ('{"@type": type.googleapis.com/envoy.config.filter.http.router.v2.Router}', "DG0108"),
        (f'{{"@type": {ROUTER}, x: 1}}', "DG0102"),
        ('{"@type": type.googleapis.com/xds.type.v3.TypedStruct, value: {}}', "DG0107"),
        ("text", "DG0103"),
    ],
)
def test_faulty_typed_configuration(config: str, code: str) -> None:
    found = faults(f"{{name: x, typed_config: {config}}}", FILTER)
    assert code in [each[0] for each in found]
    assert found[0][3].startswith("typed_config")


def test_the_near_type_and_the_old_api_are_named() -> None:
    _, (fault,) = read(f'{{typed_config: {{"@type": {ROUTER}s}}}}', FILTER)
    assert "v3.Router'" in fault.help
    _, (fault,) = read('{typed_config: {"@type": x.com/envoy.api.v2.Cluster}}', FILTER)
    assert "v2" in fault.help


def test_secrets_are_not_repeated() -> None:
    secret = "envoy.extensions.transport_sockets.tls.v3.Secret"
    text = 'tls_certificate: {private_key: {inline_bytes: "!hunter2!"}}'
    _, (fault,) = read(text, secret)
    assert fault.code == "DG0104"
    assert "hunter2" not in str(fault) + fault.help + fault.excerpt


def test_what_is_deeper_than_protobuf_allows_is_told() -> None:
    text = '{"@type": x.com/google.protobuf.Struct, value: ' + "{a: " * 60 + "1" + "}" * 60 + "}"
    assert [f.code for f in read(text, "google.protobuf.Any")[1]] == ["DG0005"]
