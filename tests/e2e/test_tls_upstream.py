"""TLS towards origins: who is believed, and what clients, statistics and logs are told if not."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxies import (
    Config,
    Proxy,
    bootstrap,
    cluster,
    file_log,
    listener,
    logged,
    manager,
    proxy,
)
from tests.e2e.tls import (
    FOLDER,
    both_versions,
    certificate,
    serving_tls,
    tls_of,
    trusting,
    upstream,
)
from tests.e2e.wire import GET, OK, Address, Wire, answering, serving

LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"
GOOD = {"validation_context": trusting("ca", "a.example.com")}
TLS_13 = {"tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}


@contextmanager
def before(folder: Path, where: Address | int, common: Config, **fields: Any) -> Iterator[Proxy]:
    """A proxy that speaks TLS to one origin and logs why it couldn't."""
    tls = upstream(common, sni="a.example.com")
    hcm = manager(access_log=[file_log(folder / "access", LOG)])
    config = bootstrap([listener(hcm)], [cluster(where, transport_socket=tls, **fields)])
    with proxy(folder, config) as running:
        yield running


def counted(running: Proxy) -> dict[str, int]:
    """The cluster's counters of TLS that aren't 0."""
    names = ("handshake", "connection_error", "fail_verify_error", "fail_verify_san")
    found = {name: running.stat(f"cluster.origin.ssl.{name}") for name in names}
    return {name: value for name, value in found.items() if value}


@both_versions
def test_a_good_origin(tmp_path: Path, version: str) -> None:
    def serve(wire: Wire) -> None:
        while wire.message():
            said = str(tls_of(wire).version()).encode()
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))

    with (
        serving(serving_tls(serve, version=version)) as origin,
        before(tmp_path, ("127.0.0.1", origin.port), GOOD | TLS_13) as running,
        running.connect() as client,
    ):
        for _ in range(3):
            assert client.get().body == f"TLSv{version}".encode()
        assert counted(running) == {"handshake": 1}


REFUSED = {
    "another CA": ("a-other", "unable_to_get_local_issuer_certificate", "fail_verify_error"),
    "expired": ("a-expired", "certificate_has_expired", "fail_verify_error"),
    "another name": ("b", "SAN_matcher,_certificate_SANs_are_[b.example.com]", "fail_verify_san"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_an_origin_that_is_not_believed(tmp_path: Path, why: str) -> None:
    name, words, counter = REFUSED[why]
    with (
        serving(serving_tls(answering(), name)) as origin,
        before(tmp_path, origin.port, GOOD) as running,
        running.connect() as client,
    ):
        for _ in range(2):
            answer = client.get()
            assert answer.status == 503
            assert b"remote connection failure" in answer.body
        status, flags, reason = logged(tmp_path, running, 2)[0].split(" ", 2)
        assert (status, flags) == ("503", "UF")
        assert reason.startswith("TLS_error:|268435581:SSL_routines:")
        assert words in reason
        assert counted(running) == {counter: 2}
        assert running.stat("cluster.origin.upstream_cx_connect_fail") == 2
        running.wait_stat("cluster.origin.upstream_cx_active", 0)


@both_versions
def test_an_origin_that_wants_a_certificate(tmp_path: Path, version: str) -> None:
    common = GOOD | TLS_13
    with serving(serving_tls(answering(), ca="ca", version=version)) as origin:
        shown = common | {"tls_certificates": [certificate("client")]}
        (tmp_path / "with").mkdir()
        with before(tmp_path / "with", origin.port, shown) as running, running.connect() as client:
            assert client.get().body == b"ok"
        with before(tmp_path, origin.port, common) as running, running.connect() as client:
            assert client.get().status == 503
            # In TLS 1.3 the handshake is over for us when the origin says no.
            flags = logged(tmp_path, running, 1)[0].split(" ")[1]
            assert flags == ("UF" if version == "1.2" else "UC")


def test_an_origin_that_never_shakes_hands(tmp_path: Path) -> None:
    """Its request ends with connect_timeout; others aren't held up meanwhile."""
    first, release = threading.Event(), threading.Event()
    shake = serving_tls(answering())

    def serve(wire: Wire) -> None:
        if not first.is_set():
            first.set()
            assert release.wait(60)
        else:
            shake(wire)

    with (
        serving(serve) as origin,
        before(tmp_path, origin.port, GOOD, connect_timeout="0.5s") as running,
        running.connect() as stuck,
        running.connect() as other,
    ):
        stuck.send(b"GET /stuck HTTP/1.1\r\nhost: a.example\r\n\r\n")
        assert first.wait(20)
        assert other.get().body == b"ok"
        assert stuck.response().status in (200, 503)  # it may get the other's connection
        running.wait_stat("cluster.origin.upstream_cx_connect_timeout", 1)
        assert other.get().body == b"ok"
        release.set()


def test_an_origin_without_tls(tmp_path: Path) -> None:
    def serve(wire: Wire) -> None:
        wire.fill()
        wire.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    with (
        serving(serve) as origin,
        before(tmp_path, origin.port, GOOD) as running,
        running.connect() as client,
    ):
        assert client.get().status == 503
        assert "WRONG_VERSION_NUMBER" in logged(tmp_path, running, 1)[0]
        assert counted(running) == {"connection_error": 1}


def test_origins_that_end_while_idle(tmp_path: Path) -> None:
    """With close_notify or without: the next request gets a new connection."""

    def serve(wire: Wire) -> None:
        assert wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        if len(origin.wires) % 2:
            tls_of(wire).settimeout(0.5)
            tls_of(wire).unwrap()

    with (
        serving(serving_tls(serve)) as origin,
        before(tmp_path, ("127.0.0.1", origin.port), GOOD) as running,
        running.connect() as client,
    ):
        for number in range(1, 7):
            assert client.get().body == b"ok"
            running.wait_stat("cluster.origin.upstream_cx_destroy", number)
        assert running.stat("cluster.origin.upstream_cx_total") == 6


BROKEN = b"\x17\x03\x03\x00\x40" + b"x" * 64


def below(wire: Wire, data: bytes) -> None:
    """Sends past TLS."""
    with socket.socket(fileno=os.dup(wire.socket.fileno())) as raw:
        raw.sendall(data)


@both_versions
@pytest.mark.parametrize("when", ["in a body", "while idle"])
def test_an_origin_that_sends_a_broken_record(tmp_path: Path, version: str, when: str) -> None:
    length = 100 if when == "in a body" else 2
    arrived = threading.Semaphore(0)

    def serve(wire: Wire) -> None:
        assert wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\nok" % length)
        assert arrived.acquire(timeout=20)
        below(wire, BROKEN)
        wire.fill()  # raises: the proxy's alert

    with (
        serving(serving_tls(serve, version=version)) as origin,
        before(tmp_path, origin.port, GOOD | TLS_13) as running,
    ):
        for number in (1, 2, 3):
            with running.connect() as client:
                client.send(GET)
                head = client.head()
                assert head is not None
                body = client.body(head)
                assert next(body) == b"ok"
                arrived.release()
                if when == "in a body":
                    with pytest.raises((EOFError, ConnectionResetError)):
                        next(body)
                running.wait_stat("cluster.origin.upstream_cx_destroy", number)
        running.wait_stat("cluster.origin.upstream_cx_active", 0)


def test_an_answer_before_a_broken_record_counts(tmp_path: Path) -> None:
    def serve(wire: Wire) -> None:
        assert wire.message()
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        wire.send(OK)
        below(wire, BROKEN)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        wire.fill()

    with (
        serving(serving_tls(serve, version="1.2")) as origin,
        before(tmp_path, origin.port, GOOD) as running,
        running.connect() as client,
    ):
        assert client.get().body == b"ok"


def test_requests_may_call_an_origin_by_any_number_of_names(tmp_path: Path) -> None:
    """Each name has connections of its own; when there are too many, those that idle end."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    by_name: Config = {
        "@type": f"type.googleapis.com/{options}",
        "upstream_http_protocol_options": {"auto_sni": True},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    fields = {"typed_extension_protocol_options": {options: by_name}}
    with (
        serving(serving_tls(answering())) as origin,
        before(tmp_path, ("127.0.0.1", origin.port), {}, **fields) as running,
        running.connect() as client,
    ):
        for number in range(1050):
            client.send(b"GET / HTTP/1.1\r\nhost: n%d.example.com\r\n\r\n" % number)
            assert client.response().status == 200
        assert running.stat("cluster.origin.upstream_cx_total") == 1050
        running.wait_stat("cluster.origin.upstream_cx_active", 50)


@pytest.mark.parametrize(("ca", "status"), [("ca", 200), ("other-ca", 503)])
def test_the_systems_certificates_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: str, status: int
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(FOLDER / f"{ca}.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    common = {"validation_context": {"system_root_certs": {}}}
    with (
        serving(serving_tls(answering())) as origin,
        before(tmp_path, ("127.0.0.1", origin.port), common) as running,
        running.connect() as client,
    ):
        assert client.get().status == status
