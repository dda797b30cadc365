"""TLS in the harness: hellos, alerts' names, short forms, and its client at its own origin."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.differential.case import Case, bootstrap, placeholders
from tests.differential.client import Connection
from tests.differential.content import CaseError
from tests.differential.hello import parse_hello, shown_in_clear
from tests.differential.normalise import Normaliser
from tests.differential.origin import Origin
from tests.differential.tls import FOLDER, certificate_name, check_tls, told
from tests.differential.transcript import Observation, show_client, show_origin


def hello_bytes(sni: str | None, alpn: list[str]) -> bytes:
    """What Python's own client would send first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=sni)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_a_hello_is_read_whole_or_not_at_all() -> None:
    data = hello_bytes("a.example.com", ["h2", "http/1.1"])
    assert str(parse_hello(data)) == "sni a.example.com, alpn [h2, http/1.1], offers up to TLSv1.3"
    assert str(parse_hello(hello_bytes(None, ["x"]))) == "sni none, alpn [x], offers up to TLSv1.3"
    for size in range(len(data)):
        assert parse_hello(data[:size]) is None
    assert parse_hello(b"GET / HTTP/1.1\r\n\r\n") is None


def test_an_alert_in_the_clear_has_its_name() -> None:
    assert shown_in_clear(bytes.fromhex("15030100020246")) == "alert protocol_version"
    assert shown_in_clear(bytes.fromhex("150303000202ff")) == "alert 255"
    assert shown_in_clear(bytes.fromhex("1503030002")) == ""


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "alert handshake_failure"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "alert certificate_required"),
        ("TLSV1_UNRECOGNIZED_NAME", "alert unrecognized_name"),
        ("CERTIFICATE_VERIFY_FAILED", "gave up: certificate_verify_failed"),
    ],
)
def test_alerts_have_names(reason: str, text: str) -> None:
    error = ssl.SSLError(1, "")
    error.reason = reason
    assert told(error) == text


def test_certificates_are_told_by_their_files() -> None:
    first = (FOLDER / "a-rsa.pem").read_text("ascii")
    assert certificate_name(ssl.PEM_cert_to_DER_cert(first)) == "a-rsa"
    assert certificate_name(b"?") == "unknown"
    assert certificate_name(None) == "none"


@pytest.mark.parametrize("wanted", [{"snI": "a"}, ["sni"], True])
def test_bad_settings_are_told(wanted: object) -> None:
    with pytest.raises(CaseError):
        check_tls(wanted)


def test_short_forms() -> None:
    config: dict[str, Any] = {
        "tls_inspector": True,
        "chains": [
            {"match": {"server_names": ["a"]}, "tls": {"certificates": ["b"]}, "answer": "x"},
            {"tls": {"certificates": ["b"], "ca": "ca", "inline": True}, "name": "two"},
        ],
        "default_chain": {},
        "cluster": {"tls": {"sni": "s", "ca": "ca", "versions": [1.2, 1.3]}},
    }
    made = bootstrap(Case("x", Path("x.yaml"), "t", [], [], config))
    listener = made["static_resources"]["listeners"][0]
    one, two = listener["filter_chains"]
    assert one["filter_chain_match"] == {"server_names": ["a"]}
    assert two["name"] == "two"
    assert "transport_socket" not in listener["default_filter_chain"]
    assert placeholders(two) >= {"text:b.pem", "text:b.key", "text:ca.pem"}
    context = made["static_resources"]["clusters"][0]["transport_socket"]["typed_config"]
    assert context["sni"] == "s"
    assert context["common_tls_context"] == {
        "validation_context": {"trusted_ca": {"filename": "{{tls}}/ca.pem"}},
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
    }


def talk(origin_tls: dict[str, Any], client_tls: dict[str, Any]) -> tuple[str, str]:
    """The client's and the origin's `tls:` lines after one exchange on a Unix socket."""

    async def run(path: str) -> tuple[str, str]:
        origin, client = Origin("o", path=path, tls=origin_tls), Connection("c")
        await origin.start()
        await client.open(path)
        await client.start_tls(client_tls, None)
        client.listen()
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.wait(client.take_response, "a response")
        seen, masks = Observation(), Normaliser({})
        shown = show_client(client, masks, seen), show_origin(origin, masks, seen)
        client.close()
        await origin.stop()
        return shown

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(f"{folder}/o.sock"))


def test_both_ends_tell_of_a_handshake() -> None:
    client, origin = talk(
        {"certificate": "a-ecdsa", "alpn": ["http/1.1"], "ca": "ca"},
        {"certificate": "client", "alpn": ["http/1.1"], "sni": "a.example.com", "ca": "ca"},
    )
    assert "tls: TLSv1.3, alpn http/1.1, certificate a-ecdsa\n" in client
    assert "HTTP/1.1 200 OK" in client
    assert (
        "tls: TLSv1.3, alpn http/1.1, certificate client"
        " (sni a.example.com, alpn [http/1.1], offers up to TLSv1.3)\n"
    ) in origin


def test_both_ends_tell_of_a_failure() -> None:
    client, origin = talk({"certificate": "a-ecdsa", "versions": [1.3]}, {"versions": [1.2]})
    assert "tls: handshake failed: alert protocol_version\n" in client
    assert "tls: handshake failed: gave up: unsupported_protocol (sni none" in origin
    assert "connection: closed in the handshake" in client
