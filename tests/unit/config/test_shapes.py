"""What the reader knows of message types."""

from dragoman.config.messages import types
from dragoman.config.shapes import camel_case, enum_numbers, shape_of

MATCH = types().find("envoy.config.route.v3.RouteMatch")
CLUSTER = types().find("envoy.config.cluster.v3.Cluster")


def test_both_names_lead_to_one_field() -> None:
    fields = shape_of(MATCH).fields
    assert fields["path_separated_prefix"] is fields["pathSeparatedPrefix"]
    assert shape_of(MATCH) is shape_of(MATCH)


def test_oneofs_and_kinds() -> None:
    fields = shape_of(MATCH).fields
    assert fields["prefix"].oneof == fields["safe_regex"].oneof == "path_specifier"
    assert fields["headers"].oneof == ""
    assert fields["headers"].repeated
    options = shape_of(CLUSTER).fields["typed_extension_protocol_options"]
    assert options.is_map
    assert options.value is not None
    assert options.value.type_name == "google.protobuf.Any"
    assert not fields["headers"].is_map


def test_no_message_uses_proto3s_optional() -> None:
    """Such a field would stand in a oneof of its own, which the reader takes for a real one."""
    for name in types().names():
        for field in types().find(name).fields:
            oneof = field.containing_oneof
            assert oneof is None or oneof.name != f"_{field.name}", field.full_name


def test_names_of_enumerations_are_upper_case() -> None:
    numbers = enum_numbers(CLUSTER.enum_types_by_name["LbPolicy"])
    assert numbers["LEAST_REQUEST"] == 1


def test_camel_case_is_protobufs() -> None:
    for descriptor in (MATCH, CLUSTER):
        for field in descriptor.fields:
            assert camel_case(field.name) == field.json_name
