"""Secrets that stand in files: taken over when the files change, by whatever way they do."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.proxies import Config, Proxy, bootstrap, cluster, listener, manager, proxy
from tests.e2e.tls import (
    FOLDER,
    chain,
    client,
    connect_tls,
    downstream,
    name_of,
    serving_tls,
    trusting,
    upstream,
)
from tests.e2e.wire import answering, serving

_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
OK_ROUTE = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]


def place(folder: Path, name: str, *, key: str = "") -> None:
    """Puts a certificate and its key in place, each in one step, as `mv` does."""
    for suffix, source in (("pem", name), ("key", key or name)):
        new = folder / "new"
        shutil.copy(FOLDER / f"{source}.{suffix}", new)
        new.rename(folder / f"cert.{suffix}")


def describe(path: Path, kind: str, content: Config, name: str = "secret") -> None:
    """Writes a secret's file, in one step."""
    new = path.with_suffix(".new")
    body = {"resources": [{"@type": _TYPE, "name": name, kind: content}]}
    new.write_text(json.dumps(body))
    new.rename(path)


def pair(folder: Path) -> Config:
    return {
        "certificate_chain": {"filename": str(folder / "cert.pem")},
        "private_key": {"filename": str(folder / "cert.key")},
    }


def fetched(path: Path) -> Config:
    return {"name": "secret", "sds_config": {"path_config_source": {"path": str(path)}}}


@contextmanager
def showing(folder: Path) -> Iterator[Proxy]:
    """A proxy whose certificate is the secret in `folder`/secret.json."""
    common = {"tls_certificate_sds_secret_configs": [fetched(folder / "secret.json")]}
    hcm = manager(OK_ROUTE)
    web = listener(hcm, filter_chains=[chain(hcm, downstream(common=common))])
    with proxy(folder, bootstrap([web], [])) as running:
        yield running


def shown(running: Proxy) -> str:
    """The common name of the certificate that a new connection gets."""
    context = client()
    context.check_hostname = False
    with connect_tls(running.address(), context) as wire:
        return name_of(wire)


def shows(running: Proxy, name: str) -> bool:
    return shown(running) == name


def test_a_rotated_pair_is_for_new_connections_and_disturbs_none(tmp_path: Path) -> None:
    place(tmp_path, "a-ecdsa")
    describe(tmp_path / "secret.json", "tls_certificate", pair(tmp_path))
    with showing(tmp_path) as running, connect_tls(running.address()) as old:
        assert old.get().status == 200
        for name in ("b", "a-ecdsa", "b"):
            place(tmp_path, name)
            running.wait(partial(shows, running, f"{name[0]}.example.com"))
        # Neither was the listener drained, nor the connection asked to leave.
        answer = old.get()
        assert answer.status == 200
        assert "connection" not in answer.fields
        assert running.stat("listener_manager.listener_modified") == 0
        assert running.stat("sds.secret.update_success") == 1
        assert running.stat("sds.secret.key_rotation_failed") == 0


def test_a_pair_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    place(tmp_path, "a-ecdsa")
    describe(tmp_path / "secret.json", "tls_certificate", pair(tmp_path))
    with showing(tmp_path) as running:
        place(tmp_path, "b", key="a-ecdsa")
        running.wait(lambda: running.stat("sds.secret.key_rotation_failed") == 1)
        assert shown(running) == "a.example.com"
        assert "the key doesn't belong to the certificate" in running.log.read_text()
        place(tmp_path, "b")
        running.wait(lambda: shown(running) == "b.example.com")


@pytest.mark.parametrize(
    ("text", "counter"),
    [
        ("{", "update_failure"),
        ('{"resources": []}', "update_rejected"),
        ('{"resource": []}', "update_failure"),
        (f'{{"resources": [{{"@type": "{_TYPE}", "name": "other"}}]}}', "update_rejected"),
    ],
)
def test_a_file_without_the_secret_leaves_the_old_one(
    tmp_path: Path, text: str, counter: str
) -> None:
    place(tmp_path, "a-ecdsa")
    path = tmp_path / "secret.json"
    describe(path, "tls_certificate", pair(tmp_path))
    with showing(tmp_path) as running:
        path.write_text(text)
        running.wait(lambda: running.stat(f"sds.secret.{counter}") == 1)
        assert shown(running) == "a.example.com"
        path.unlink()
        running.wait(lambda: running.stat("sds.secret.update_attempt") == 3)
        assert shown(running) == "a.example.com"
        place(tmp_path, "b")
        describe(path, "tls_certificate", pair(tmp_path))
        running.wait(lambda: shown(running) == "b.example.com")


@pytest.mark.parametrize("name", ["/a\u0000b", "/dev/zero", "fifo"])
def test_a_name_of_no_file_leaves_the_old_one(tmp_path: Path, name: str) -> None:
    place(tmp_path, "a-ecdsa")
    path = tmp_path / "secret.json"
    describe(path, "tls_certificate", pair(tmp_path))
    with showing(tmp_path) as running:
        if name == "fifo":
            name = str(tmp_path / name)
            os.mkfifo(name)
        described = {**pair(tmp_path), "private_key": {"filename": name}}
        describe(path, "tls_certificate", described)
        running.wait(lambda: running.stat("sds.secret.update_rejected") == 1)
        assert shown(running) == "a.example.com"
        assert "secret 'secret' isn't taken over" in running.log.read_text()
        place(tmp_path, "b")
        describe(path, "tls_certificate", pair(tmp_path))
        running.wait(lambda: shown(running) == "b.example.com")


def test_folders_that_are_swapped_by_a_link(tmp_path: Path) -> None:
    """As Kubernetes mounts secrets: `..data` points to a folder of the present version."""
    for name in ("a-ecdsa", "b"):
        (tmp_path / name).mkdir()
        place(tmp_path / name, name)
    data = tmp_path / "..data"
    data.symlink_to("a-ecdsa")
    describe(tmp_path / "secret.json", "tls_certificate", pair(data))
    with showing(tmp_path) as running:
        assert shown(running) == "a.example.com"
        new = tmp_path / "..new"
        new.symlink_to("b")
        new.rename(data)
        running.wait(lambda: shown(running) == "b.example.com")


def test_a_listener_waits_for_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("{}")
    name = "server_ssl_socket_factory.downstream_context_secrets_not_ready"
    with showing(tmp_path) as running:
        with pytest.raises(OSError, match=r"EOF|reset"):
            connect_tls(running.address())
        assert list(running.stats(f"{name}$").values()) == ["1"]
        place(tmp_path, "a-ecdsa")
        describe(path, "tls_certificate", pair(tmp_path))
        running.wait(lambda: running.stat("sds.secret.update_success") == 1)
        assert shown(running) == "a.example.com"


def test_trust_in_hosts_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    describe(path, "validation_context", trusting("other-ca"))
    tls = upstream({"validation_context_sds_secret_config": fetched(path)}, sni="a.example.com")
    with serving(serving_tls(answering())) as origin:
        config = bootstrap([listener(manager())], [cluster(origin.port, transport_socket=tls)])
        with proxy(tmp_path, config) as running, running.connect() as wire:
            assert wire.get().status == 503
            describe(path, "validation_context", trusting("ca"))
            running.wait(lambda: running.stat("sds.secret.update_success") == 2)
            assert wire.get().status == 200
            path.write_text("{}")
            running.wait(lambda: running.stat("sds.secret.update_rejected") == 1)
            assert wire.get().status == 200


def test_a_host_is_not_asked_before_its_secret_has_come(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text("{}")
    tls = upstream({"validation_context_sds_secret_config": fetched(path)}, sni="a.example.com")
    with serving(serving_tls(answering())) as origin:
        config = bootstrap([listener(manager())], [cluster(origin.port, transport_socket=tls)])
        with proxy(tmp_path, config) as running, running.connect() as wire:
            answer = wire.get()
            assert answer.status == 503
            assert b"remote connection failure" in answer.body
            factory = "cluster.origin.client_ssl_socket_factory"
            assert running.stat(f"{factory}.upstream_context_secrets_not_ready") == 1
