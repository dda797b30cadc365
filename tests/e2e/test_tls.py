"""TLS towards clients: curl, openssl and Python's ssl against a running Dragoman."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.proxies import Proxy
from tests.e2e.tls import (
    FOLDER,
    both_versions,
    client,
    connect_tls,
    edge,
    host_and_port,
    secured,
    ssl_stat,
    tls_of,
    trusting,
)
from tests.e2e.wire import Wire

CLOSING = "GET / HTTP/1.1\r\nhost: a.example.com\r\nconnection: close\r\n\r\n"
curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def s_client(running: Proxy, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`openssl s_client` with one request; it waits for the proxy's close."""
    host, port = host_and_port(running)
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", FOLDER / "ca.pem"]
    return subprocess.run(
        [*map(str, (*command, *arguments)), "-verify_return_error", "-ign_eof"],
        input=CLOSING, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def curls(running: Proxy, *arguments: object, ca: str = "ca") -> subprocess.CompletedProcess[str]:
    host, port = host_and_port(running)
    where = f"a.example.com:{port}:{host}"
    command = ["curl", "-sS", "--cacert", FOLDER / f"{ca}.pem", "--resolve", where, *arguments]
    return subprocess.run(
        [*map(str, command), f"https://a.example.com:{port}/"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@curl
@both_versions
def test_curl(tmp_path: Path, version: str) -> None:
    only = (f"--tlsv{version}", "--tls-max", version)
    with edge(tmp_path, "a-ecdsa", "a-rsa") as running:
        told = curls(running, *only, "-w", " %{http_version} %{ssl_verify_result}")
        assert (told.returncode, told.stdout) == (0, "ok 1.1 0"), told.stderr
        assert curls(running, *only, ca="other-ca").returncode == 60
        running.wait_stat(f"listener.edge.ssl.versions.TLSv{version}", 1)
        # Two in one go: the second one finds the first one's connection.
        host = f"https://a.example.com:{host_and_port(running)[1]}"
        told = curls(running, *only, f"{host}/1", f"{host}/2", "-w", " %{num_connects}\n")
        assert told.stdout == "ok 1\nok 0\nok 0\n", told.stderr


@openssl
@both_versions
def test_openssl_comes_back_to_its_session(tmp_path: Path, version: str) -> None:
    only, session = f"-tls{version.replace('.', '_')}", tmp_path / "session"
    with edge(tmp_path, "a-ecdsa", workers=2) as running:
        first = s_client(running, only, "-sess_out", session)
        assert "HTTP/1.1 200 OK" in first.stdout, first.stderr
        assert "\nNew, " in first.stdout
        for _ in range(4):  # whichever worker takes it
            second = s_client(running, only, "-sess_in", session)
            assert "HTTP/1.1 200 OK" in second.stdout, second.stderr
            assert "\nReused, " in second.stdout
        assert ssl_stat(running, "session_reused") == 4
        assert ssl_stat(running, "connection_error") == 0


@openssl
@both_versions
def test_the_server_name_picks_the_certificate(tmp_path: Path, version: str) -> None:
    only = f"-tls{version.replace('.', '_')}"
    wanted = {
        "b.example.com": "b.example.com",
        "x.wild.example.com": "*.wild.example.com",
        "unknown.example.com": "a.example.com",
    }
    with edge(tmp_path, "a-ecdsa", "b", "wild") as running:
        for name, subject in wanted.items():
            told = s_client(running, only, "-servername", name)
            assert told.returncode == 0, told.stderr
            assert re.search(f"subject=.*CN ?= ?{re.escape(subject)}\n", told.stdout)
        assert s_client(running, only, "-noservername").returncode == 0
        assert s_client(running, only, "-CAfile", FOLDER / "other-ca.pem").returncode != 0


@openssl
@both_versions
def test_a_client_certificate(tmp_path: Path, version: str) -> None:
    only = f"-tls{version.replace('.', '_')}"
    validation = {"validation_context": trusting("ca", "client.example.com")}
    with edge(tmp_path, common=validation, require_client_certificate=True) as running:
        for name, status in (("client", "200 OK"), ("client-rsa", "200 OK"), ("client-other", "")):
            shown = ("-cert", FOLDER / f"{name}.pem", "-key", FOLDER / f"{name}.key")
            told = s_client(running, only, *shown)
            assert ("HTTP/1.1 200 OK" in told.stdout) == bool(status), name
        assert "HTTP" not in s_client(running, only).stdout
        names = ("handshake", "fail_verify_error", "fail_verify_no_cert", "connection_error")
        assert [ssl_stat(running, name) for name in names] == [2, 1, 1, 0]
        running.wait_stat("listener.edge.downstream_cx_active", 0)


@both_versions
def test_python(tmp_path: Path, version: str) -> None:
    common = {"alpn_protocols": ["http/1.1"]}
    with edge(tmp_path, common=common) as running:
        with connect_tls(running.address(), client(version, alpn=["h2", "http/1.1"])) as wire:
            assert tls_of(wire).version() == f"TLSv{version}"
            assert tls_of(wire).selected_alpn_protocol() == "http/1.1"
            for _ in range(3):
                assert wire.get().body == b"ok"
            wire.send(CLOSING.encode())
            assert wire.response().fields["connection"] == "close"
            # An end without close_notify would be an error.
            assert wire.is_ended()
        assert ssl_stat(running, "handshake") == 1


@both_versions
def test_many_requests_in_one_record_and_one_in_many(tmp_path: Path, version: str) -> None:
    request = b"POST /%d HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello"

    def serve(wire: Wire) -> None:
        while message := wire.message():
            body = message.target.encode() + message.body
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    with (
        edge(tmp_path, serve=serve) as running,
        connect_tls(running.address(), client(version)) as wire,
    ):
        wire.send(b"".join(request % number for number in range(200)))
        for number in range(200):
            assert wire.response().body == b"/%dhello" % number
        for byte in request % 7 * 3:
            wire.send(bytes([byte]))
        for _ in range(3):
            assert wire.response().body == b"/7hello"


@both_versions
def test_keys_are_logged_as_the_client_has_them(tmp_path: Path, version: str) -> None:
    """Both ends write the same secrets, or whoever records the connection can't read it."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    context = client(version)
    context.keylog_filename = str(theirs)
    with (
        edge(tmp_path, common={"key_log": {"path": str(ours)}}) as running,
        secured(running.connect(), context) as wire,
    ):
        assert wire.get().status == 200
        lines = {line for line in theirs.read_text().splitlines() if not line.startswith("#")}
        kept = {line for line in lines if "EXPORTER" not in line}
        assert kept
        assert kept <= set(ours.read_text().splitlines())
        assert ours.stat().st_mode & 0o777 == 0o600
