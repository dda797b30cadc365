"""Secrets in files: which are wanted, what is taken from a file, and where faults are."""

from pathlib import Path

from dragoman.config import fetch, from_bytes, load_bootstrap, wanted
from dragoman.config.secrets import Wanted

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"


def write(folder: Path, resources: str) -> Wanted:
    path = folder / "secret.yaml"
    path.write_text(f"version_info: '3'\nresources:\n{resources}\n")
    return Wanted("server", str(path))


def pair(folder: Path, name: str = "server") -> str:
    return (
        f'- "@type": {_TLS}.Secret\n  name: {name}\n  tls_certificate:\n'
        f"    certificate_chain: {{filename: {folder}/cert}}\n"
        f"    private_key: {{filename: {folder}/key}}\n"
        f"    watched_directory: {{path: {folder}}}"
    )


def cluster(name: str, secret: str) -> str:
    return (
        f"{{name: {name}, type: STATIC, transport_socket: {{name: t, typed_config: "
        f'{{"@type": {_TLS}.UpstreamTlsContext, common_tls_context: {{{secret}}}}}}}}}'
    )


def test_each_file_and_name_is_wanted_once() -> None:
    one = "{name: a, sds_config: {path_config_source: {path: /dev/null}}}"
    old = "{name: b, sds_config: {path: /dev/null}}"
    validation = "validation_context_sds_secret_config: "
    own = f"tls_certificate_sds_secret_configs: [{one}, {old}, {{name: static}}]"
    clusters = [cluster("c", f"{own}, {validation}{one}"), cluster("d", validation + old)]
    loaded = load_bootstrap(None, f"static_resources: {{clusters: [{', '.join(clusters)}]}}")
    assert wanted(loaded.bootstrap) == [Wanted("a", "/dev/null"), Wanted("b", "/dev/null")]


def test_files_go_inside(tmp_path: Path) -> None:
    (tmp_path / "cert").write_bytes(b"certificate")
    (tmp_path / "key").write_bytes(b"key \xff")
    secret = write(tmp_path, pair(tmp_path, "other") + "\n" + pair(tmp_path))
    found = fetch(secret)
    assert (found.faults, found.version) == ([], "3")
    assert found.files == [secret.path, f"{tmp_path}/cert", f"{tmp_path}/key"]
    assert found.resource is not None
    assert found.resource[:2] == ("sds", f"server@{secret.path}")
    message = from_bytes(_SECRET, found.resource.payload)
    assert message.tls_certificate.certificate_chain.inline_bytes == b"certificate"
    assert message.tls_certificate.private_key.inline_bytes == b"key \xff"


def test_what_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "cert").write_bytes(b"certificate")
    found = fetch(write(tmp_path, pair(tmp_path)))
    assert found.is_read
    assert found.resource is None
    (fault,) = found.faults
    assert (fault.code, fault.position.line) == ("DG0413", 7)
    # It may come later, so it's among what is looked at.
    assert f"{tmp_path}/key" in found.files


def test_the_engine_s_faults_are_told_where_they_stand(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_bytes(b"?")
    found = fetch(write(tmp_path, pair(tmp_path)))
    mine = ("sds", "x", "tls_certificate.private_key", "unreadable", "no key")
    (fault,) = found.refused([mine])
    assert (fault.position.line, fault.message) == (7, "no key [unreadable]")
    (fault,) = found.refused([("listener", "web", "a.b", "mismatch", "no")])
    assert (fault.position.line, fault.message) == (3, "listener web: a.b: no")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    cluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    for text, is_read, code in (
        (f'- {{"@type": {cluster}, name: server}}', True, "DG0416"),
        (f'- {{"@type": {_TLS}.Secret, name: serve}}', True, "DG0416"),
        (f'- {{"@type": {_TLS}.Secret, nome: server}}', False, "DG0102"),
        ("- {", False, "DG0002"),
    ):
        found = fetch(write(tmp_path, text))
        assert (found.is_read, found.resource, found.faults[0].code) == (is_read, None, code), text
    missing = fetch(Wanted("server", str(tmp_path / "nowhere")))
    assert (missing.is_read, missing.faults[0].code) == (False, "DG0001")
