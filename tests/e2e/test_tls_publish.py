"""Certificates that change under a running engine, and those that it refuses to change to."""

import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dragoman._core import PublishError
from dragoman.config import Loaded, load_bootstrap
from tests.e2e.proxies import Config, bootstrap, cluster, listener, manager
from tests.e2e.running import run
from tests.e2e.test_publish import Change, Running, only, running
from tests.e2e.tls import (
    FOLDER,
    certificate,
    chain,
    client,
    downstream,
    name_of,
    secured,
    serving_tls,
    trusting,
    upstream,
)
from tests.e2e.wire import Wire, answering, serving

NAMED = {"tls_certificate_sds_secret_configs": [{"name": "server"}]}
TRUST = {"validation_context_sds_secret_config": {"name": "trust"}}


def web(socket: Config) -> Config:
    hcm = manager([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])
    return listener(hcm, filter_chains=[chain(hcm, socket)])


def load(config: Config, folder: Path | None = None) -> Loaded:
    """Of a file in `folder`, with a line for each value, or of no file."""
    if folder is None:
        return load_bootstrap(None, json.dumps(config)).require()
    path = folder / "envoy.json"
    path.write_text(json.dumps(config, indent=1))
    return load_bootstrap(str(path), None).require()


def changes(loaded: Loaded) -> list[Change]:
    return [(one.kind, one.name, one.payload) for one in loaded.resources()]


def shown(name: str, *, secret: bool) -> Config:
    """A configuration whose listener shows a certificate, its own or a secret's."""
    if not secret:
        return bootstrap([web(downstream(name))], [])
    config = bootstrap([web(downstream(common=NAMED))], [])
    secrets = [{"name": "server", "tls_certificate": certificate(name)}]
    return config | {"static_resources": config["static_resources"] | {"secrets": secrets}}


@contextmanager
def trusting_engine(it: Running, context: ssl.SSLContext) -> Iterator[Wire]:
    """A connection that doesn't mind which name the certificate has."""
    context.check_hostname = False
    with secured(it.connect(), context) as wire:
        yield wire


@pytest.mark.parametrize("secret", [False, True])
def test_a_new_certificate_is_for_new_connections(secret: bool) -> None:
    kind = "secret" if secret else "listener"
    context = client("1.2")
    with (
        running(changes(load(shown("a-ecdsa", secret=secret)))) as it,
        trusting_engine(it, context) as old,
    ):
        assert old.get().status == 200
        for number, name in enumerate(("b", "a-ecdsa", "b"), 1):
            done = it.engine.publish(only(kind, changes(load(shown(name, secret=secret)))))
            only_chains = "" if secret else ", its filter chains only"
            assert done.changes == [f"listener web: modified{only_chains}"]
            with trusting_engine(it, context) as new:
                assert name_of(new) == f"{name[0]}.example.com"
                assert new.get().status == 200
            assert name_of(old) == "a.example.com"
            assert "connection" not in old.get().fields
            assert it.stat("listener_manager.listener_modified") == number
        same = only(kind, changes(load(shown("b", secret=secret))))
        assert it.engine.publish(same).changes == []


def test_old_sessions_do_not_bring_back_an_old_certificate() -> None:
    """What a new certificate's client resumes isn't a session of the old one."""
    context = client("1.2")
    context.check_hostname = False
    with running(changes(load(shown("a-ecdsa", secret=False)))) as it:
        with trusting_engine(it, context) as first:
            assert first.get().status == 200
            assert isinstance(first.socket, ssl.SSLSocket)
            session = first.socket.session
        it.engine.publish(only("listener", changes(load(shown("b", secret=False)))))
        sock = it.connect().socket
        with Wire(context.wrap_socket(sock, server_hostname="b.example.com", session=session)) as w:
            assert name_of(w) == "b.example.com"
            assert w.get().status == 200


def origin_by_secret(port: int, ca: str) -> Config:
    to = cluster(port, transport_socket=upstream(TRUST, sni="a.example.com"))
    made = bootstrap([listener(manager())], [to])
    secrets = [{"name": "trust", "validation_context": trusting(ca, "a.example.com")}]
    made["static_resources"]["secrets"] = secrets
    return made


def test_a_new_ca_for_an_origin() -> None:
    once = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    with serving(serving_tls(answering(once))) as origin:
        first = changes(load(origin_by_secret(origin.port, "ca")))
        with running(first) as it, it.connect() as wire:
            assert wire.get().status == 200
            wrong = changes(load(origin_by_secret(origin.port, "other-ca")))
            assert it.engine.publish(only("secret", wrong)).changes == ["cluster origin: modified"]
            it.wait(lambda: wire.get().status == 503)
            assert it.stat("cluster.origin.ssl.fail_verify_error") >= 1
            it.engine.publish(only("secret", first))
            it.wait(lambda: wire.get().status == 200)


@pytest.mark.parametrize("before", ["plain", "another name"])
def test_connections_of_another_transport_socket_are_not_used(before: str) -> None:
    """An origin that must be spoken to in TLS is never again asked in the clear."""
    good = upstream({"validation_context": trusting()}, sni="a.example.com")
    other = upstream({"validation_context": trusting()}, sni="b.example.com")
    serve = answering() if before == "plain" else serving_tls(answering())
    with serving(serve) as origin:
        fields: Config = {} if before == "plain" else {"transport_socket": other}
        first = changes(load(bootstrap([listener(manager())], [cluster(origin.port, **fields)])))
        secured = cluster(origin.port, transport_socket=good, connect_timeout="0.25s")
        then = changes(load(bootstrap([], [secured])))
        with running(first) as it, it.connect() as wire:
            assert wire.get().status == 200
            it.engine.publish(then)

            def asked_anew() -> bool:
                wire.get()
                return it.stat("cluster.origin.upstream_cx_total") >= 2

            it.wait(asked_anew)  # whenever the worker hears of it


def wrong_key(folder: Path) -> Config:
    return certificate("b", key="a-rsa")


def no_file(folder: Path) -> Config:
    """It is there when the configuration is looked at, and gone when the engine takes it."""
    shutil.copy(FOLDER / "b.pem", folder / "gone.pem")
    return certificate("b") | {"certificate_chain": {"filename": str(folder / "gone.pem")}}


def no_certificate(folder: Path) -> Config:
    (folder / "empty.pem").write_text("nothing\n")
    return certificate("b") | {"certificate_chain": {"filename": str(folder / "empty.pem")}}


REFUSED = {
    "wrong key": (wrong_key, "the key doesn't belong to the certificate", "private_key"),
    "no file": (no_file, "gone.pem: No such file", "gone.pem"),
    "no certificate": (no_certificate, "there is no certificate in it", "certificate_chain"),
}


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_certificate_leaves_the_running_one(
    tmp_path: Path, why: str, secret: bool
) -> None:
    make, words, mark = REFUSED[why]
    wrong = shown("a-ecdsa", secret=secret)
    resources = wrong["static_resources"]
    if secret:
        resources["secrets"][0]["tls_certificate"] = make(tmp_path)
    else:
        socket = downstream(common={"tls_certificates": [make(tmp_path)]})
        resources["listeners"] = [web(socket)]
    loaded = load(wrong, tmp_path)
    (tmp_path / "gone.pem").unlink(missing_ok=True)
    with running(changes(load(shown("a-ecdsa", secret=secret)))) as it:
        with trusting_engine(it, client("1.2")) as old:
            with pytest.raises(PublishError) as refused:
                it.engine.publish(changes(loaded))
            assert old.get().status == 200
            with trusting_engine(it, client("1.2")) as new:
                assert name_of(new) == "a.example.com"
        loaded.add_faults(refused.value.args[0])
    (fault,) = [each for each in loaded.diagnostics if each.severity == "error"]
    assert (fault.code, words in fault.message) == ("DG0601", True)
    lines = (tmp_path / "envoy.json").read_text().splitlines()
    assert fault.position.column > 1
    if secret:  # it is refused where it is used, an item of a list
        assert "tls_certificate_sds_secret_configs" in lines[fault.position.line - 2]
    else:
        assert mark in lines[fault.position.line - 1]


def test_the_command_says_where(tmp_path: Path) -> None:
    path = tmp_path / "envoy.json"
    for make, code, words in (
        (wrong_key(tmp_path), "DG0601", "the key doesn't belong to the certificate"),
        ({"certificate_chain": {"filename": "/nowhere.pem"}}, "DG0413", "/nowhere.pem"),
    ):
        config = bootstrap([web(downstream(common={"tls_certificates": [make]}))], [])
        path.write_text(json.dumps(config, indent=1))
        for arguments in (("validate", path), ("run", "-c", path)):
            told = run(*arguments)
            assert told.returncode == 1
            said = told.stdout + told.stderr
            (line,) = [each for each in said.splitlines() if code in each and words in each]
            assert f"{path}:" in said, line
