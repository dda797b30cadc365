"""Binary and text protobuf files."""

from tests.unit.config.conftest import Load, codes
from tests.unit.config.texts import bootstrap

TEXT = """\
static_resources {
  clusters {
    name: "c"
    connect_timeout { seconds: 1 }
    typed_extension_protocol_options {
      key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
      value {
        [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
          explicit_http_config { http_protocol_options {} }
        }
      }
    }
  }
}
"""


def test_text(load: Load) -> None:
    loaded = load(TEXT, "pb_text")
    assert loaded.diagnostics == []
    assert loaded.bootstrap.static_resources.clusters[0].connect_timeout.seconds == 1


def test_a_fault_in_text_has_its_place(load: Load) -> None:
    (fault,) = load(TEXT.replace("name:", "nam:"), "pb_text").diagnostics
    assert (fault.code, fault.position.line, fault.position.column) == ("DG0002", 3, 5)


def test_binary(load: Load) -> None:
    data = load(bootstrap()).bootstrap.SerializeToString()
    loaded = load(data, "pb")
    assert (loaded.ok, len(loaded.resources())) == (True, 2)
    assert load(b"", "pb").ok


def test_broken_binary(load: Load) -> None:
    assert codes(load(b"\xff\xff\xff", "pb")) == ["DG0011"]
    # field 15 of the node doesn't exist
    assert codes(load(b"\n\x07x\x06foobar", "pb")) in (["DG0102"], ["DG0011"])
    assert codes(load(b"\n\x02\x78\x01", "pb")) == ["DG0102"]


def test_checks_run_on_them_too(load: Load) -> None:
    loaded = load('static_resources { clusters { name: "" type: EDS } }', "pb_text")
    assert sorted(codes(loaded)) == ["DG0201", "DG0302"]
    assert {d.position.line for d in loaded.diagnostics} == {0}


def test_a_typed_configuration_that_cannot_be_opened_is_refused(load: Load) -> None:
    template = bootstrap().replace(
        "extensions.filters.http.router.v3.Router", "config.core.v3.Pipe"
    )
    data = load(template).bootstrap.SerializeToString()
    assert not load(data.replace(b"config.core.v3.Pipe", b"config.core.v3.Nope"), "pb").ok
