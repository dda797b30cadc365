"""Messages as the admin page shows them."""

import json

import pytest

from dragoman.config import from_bytes, message_to_dict
from dragoman.config.messages import types
from tests.unit.config.conftest import Load
from tests.unit.config.test_reader import read

ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def test_names_types_and_numbers() -> None:
    message, _ = read(
        f"""
name: c
connectTimeout: 1.5s
type: STRICT_DNS
per_connection_buffer_limit_bytes: 5
common_lb_config: {{healthy_panic_threshold: {{value: 12.5}}}}
metadata: {{filter_metadata: {{a: {{n: 5, l: [x, null, {{}}], f: "1.5", b: true}}}}}}
max_requests_per_connection: 0
transport_socket: {{name: t, typed_config: {{"@type": x.com/{ROUTER}, dynamic_stats: true}}}}
""",
        "envoy.config.cluster.v3.Cluster",
    )
    shown = message_to_dict(message)
    assert shown == {
        "name": "c",
        "connect_timeout": "1.500s",
        "type": "STRICT_DNS",
        "per_connection_buffer_limit_bytes": 5,
        "common_lb_config": {"healthy_panic_threshold": {"value": 12.5}},
        "metadata": {
            "filter_metadata": {"a": {"b": True, "f": "1.5", "l": ["x", None, {}], "n": 5}}
        },
        "max_requests_per_connection": 0,
        "transport_socket": {
            "name": "t",
            "typed_config": {"@type": f"x.com/{ROUTER}", "dynamic_stats": True},
        },
    }
    json.dumps(shown)


def test_wide_numbers_bytes_and_well_known_types() -> None:
    message, _ = read(
        "{request_body_buffer_limit: 5, name: a}", "envoy.config.route.v3.VirtualHost"
    )
    assert message_to_dict(message)["request_body_buffer_limit"] == "5"
    message, _ = read("{inline_bytes: aGk=}", "envoy.config.core.v3.DataSource")
    assert message_to_dict(message) == {"inline_bytes": "aGk="}
    message, _ = read('{"@type": x.com/google.protobuf.Duration, value: 5s}', "google.protobuf.Any")
    assert message_to_dict(message) == {"@type": "x.com/google.protobuf.Duration", "value": "5s"}


def test_json_form_agrees_with_protobufs_own(load: Load) -> None:
    from google.protobuf import descriptor_pool, json_format

    from tests.unit.config.texts import bootstrap

    message = load(bootstrap(more="admin: {access_log_path: /dev/null}")).bootstrap
    pool = message.DESCRIPTOR.file.pool
    assert pool is not descriptor_pool.Default()
    theirs = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=pool
    )
    assert message_to_dict(message) == theirs


def test_what_cannot_be_opened_is_shown_as_bytes() -> None:
    message = types().new("google.protobuf.Any")
    message.type_url, message.value = "x.com/no.Such", b"hi"
    assert message_to_dict(message) == {"@type": "x.com/no.Such", "value": "aGk="}


def test_from_bytes() -> None:
    assert from_bytes(f"type.googleapis.com/{ROUTER}", b"").DESCRIPTOR.full_name == ROUTER
    with pytest.raises(KeyError):
        from_bytes("no.Such", b"")
    with pytest.raises(ValueError, match="Router"):
        from_bytes(ROUTER, b"\xff")


def test_only_objects_have_an_object_form() -> None:
    message = types().new("google.protobuf.Duration")
    with pytest.raises(ValueError, match="no object form"):
        message_to_dict(message)
