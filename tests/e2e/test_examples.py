"""What README.md, docs/ and examples/ show works, without a warning, and does what they say."""

import json
import re
import shutil
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from dragoman.config import fetch, load_bootstrap, support, wanted
from dragoman.config.codes import CODES
from tests.e2e.grpc_service import serving_grpc
from tests.e2e.proxies import Config, Proxy, bootstrap, endpoint, listener, manager
from tests.e2e.running import run
from tests.e2e.test_publish import Change, changes, running
from tests.e2e.tls import FOLDER, client, connect_tls, name_of, secured, serving_tls, tls_of
from tests.e2e.wire import Wire, answering, connect, serving

ROOT = Path(__file__).resolve().parents[2]
TLS_PAGE = (ROOT / "docs/tls.md").read_text()
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)
ALL_BLOCKS = BLOCK.findall(TLS_PAGE)
#: parts of a configuration; the other one is a secret's file
BLOCKS = [text for text in ALL_BLOCKS if not text.startswith("resources:")]
(SECRET,) = (text for text in ALL_BLOCKS if text not in BLOCKS)
PEERS = {
    "a.example.com": "a-ecdsa", "b.example.com": "b", "ca": "ca", "client": "client",
}  # fmt: skip


@pytest.fixture
def certificates(tmp_path: Path) -> str:
    """A folder that stands in for /etc/dragoman."""
    for name, file in PEERS.items():
        for kind in ("pem", "key"):
            shutil.copy(FOLDER / f"{file}.{kind}", tmp_path / f"{name}.{kind}")
    (tmp_path / "server.yaml").write_text(here(SECRET, str(tmp_path)))
    return str(tmp_path)


def here(text: str, folder: str) -> str:
    """The example with its files in `folder`, on loopback's free ports."""
    text = text.replace("/etc/dragoman", folder).replace("0.0.0.0", "127.0.0.1")
    return re.sub(r"port_value: (443|80|9901)\b", "port_value: 0", text)


def completed(text: str, port: int = 9) -> Config:
    """A block of docs/tls.md with what it leaves out."""
    part: dict[str, Any] = yaml.safe_load(text)
    (filters,) = (chain["filters"] for chain in listener(manager())["filter_chains"])
    for each in part.get("listeners", []):
        for chain in each["filter_chains"]:
            chain.setdefault("filters", filters)
    if "clusters" not in part:
        part["clusters"] = [{"name": "origin"}]
    for each in part["clusters"]:
        assignment = {"endpoints": [{"lb_endpoints": [endpoint(port)]}]}
        each.setdefault("load_assignment", {"cluster_name": each["name"], **assignment})
    config = bootstrap([], [])
    config["static_resources"] |= part
    return config


def is_clean(path: Path) -> None:
    told = run("validate", path)
    assert told.stdout == f"configuration '{path}' OK\n"


def test_readme(tmp_path: Path) -> None:
    (text,) = BLOCK.findall((ROOT / "README.md").read_text())
    path = tmp_path / "envoy.yaml"
    path.write_text(text)
    is_clean(path)


def test_there_are_examples_on_the_page() -> None:
    assert len(ALL_BLOCKS) == 8
    assert TLS_PAGE.count("```") == 2 * len(ALL_BLOCKS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_page_on_tls_is_clean(tmp_path: Path, certificates: str, number: int) -> None:
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(completed(here(BLOCKS[number], certificates))))
    is_clean(path)


@pytest.mark.parametrize("number", [n for n, text in enumerate(BLOCKS) if "listeners:" in text])
def test_the_page_on_tls_serves(certificates: str, number: int) -> None:
    with serving(answering()) as origin:
        config = completed(here(BLOCKS[number], certificates), origin.port)
        parts = config["static_resources"]
        names = ["a.example.com"]
        if "b.example.com" in BLOCKS[number]:
            names.append("b.example.com")
        resources = [*secrets(parts), *changes(parts["listeners"], parts["clusters"])]
        with running(resources) as it:
            for name in names:
                with secured(it.connect("https"), client(own="client"), name) as wire:
                    assert name_of(wire) == name
                    assert wire.get().body == b"ok"
            needs = "require_client_certificate" in BLOCKS[number]
            with secured(it.connect("https"), client("1.3"), names[-1]) as wire:
                if needs:
                    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                        wire.get()
                else:
                    assert wire.get().status == 200


def secrets(parts: Config) -> list[Change]:
    """The configuration's own secrets, and those that it has in files."""
    own = {"static_resources": {"secrets": parts.get("secrets", [])}}
    loaded = load_bootstrap(None, json.dumps(own)).require()
    whole = load_bootstrap(None, json.dumps({"static_resources": parts})).require()
    fetched = (fetch(one).resource for one in wanted(whole.bootstrap))
    found = [*loaded.resources(), *(one for one in fetched if one is not None)]
    return [(one.kind, one.name, one.payload) for one in found]


@pytest.mark.parametrize(("shown", "status"), [("a-ecdsa", 200), ("b", 503), ("a-other", 503)])
def test_the_page_on_tls_trusts_origins(certificates: str, shown: str, status: int) -> None:
    (text,) = (each for each in BLOCKS if "clusters:" in each)
    with serving(serving_tls(answering(), shown, ca="ca")) as origin:
        parts = completed(here(text, certificates), origin.port)["static_resources"]
        web = listener(manager([{"match": {"prefix": "/"}, "route": {"cluster": "service"}}]))
        with running(changes([web], parts["clusters"])) as it, it.connect() as wire:
            assert wire.get().status == status


def test_the_page_on_tls_names_warnings_and_fields_that_exist() -> None:
    names = {name for code, (name, _) in CODES.items() if "DG0504" <= code <= "DG0508"}
    assert names <= set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", TLS_PAGE))
    last = TLS_PAGE.partition("## Not yet")[2]
    fields = set(re.findall(r"`([a-z0-9_]+)`", last))
    refused = {row.field for row in support.rows() if not row.works}
    works = {row.field for row in support.rows() if row.works and "tls.v3" in row.message}
    assert fields
    assert fields <= refused
    assert not works & fields


def told(wire: Wire) -> None:
    """Answers with the host, the path and what the proxy says of the client's side."""
    while message := wire.message():
        fields = message.fields
        body = f"{fields['host']} {message.target} {fields['x-forwarded-proto']}".encode()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
def edge(certificates: str, tmp_path: Path) -> Iterator[Proxy]:
    text = here((ROOT / "examples/edge.yaml").read_text(), certificates)
    with ExitStack() as stack:
        for port in (9001, 9002, 9003):
            origin = stack.enter_context(serving(told))
            text = text.replace(f"port_value: {port}", f"port_value: {origin.port}")
        orders, _ = stack.enter_context(serving_grpc())
        text = text.replace("port_value: 9004", f"port_value: {orders}")
        path = tmp_path / "edge.yaml"
        path.write_text(text)
        is_clean(path)
        proxy = Proxy(tmp_path, yaml.safe_load(text))
        try:
            yield proxy
        finally:
            assert proxy.end() == 0


def test_the_edge(edge: Proxy) -> None:
    request = b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n"
    https = edge.address("https")
    with connect_tls(https, client(alpn=["http/1.1"]), "a.example.com") as wire:
        assert name_of(wire) == "a.example.com"
        for target in (b"/api/x", b"/"):
            wire.send(request % (target, b"a.example.com"))
            answer = wire.response()
            assert answer.body == b"a.example.com " + target + b" https"
            assert answer.fields["strict-transport-security"] == "max-age=31536000"
        wire.send(request % (b"/", b"c.example.com"))
        assert wire.response().status == 404
    with connect_tls(https, client(), "b.example.com") as wire:
        assert name_of(wire) == "b.example.com"
        wire.send(request % (b"/", b"b.example.com"))
        assert wire.response().body == b"a.example.com / https"
    with connect_tls(https, client(alpn=["h2", "http/1.1"]), "a.example.com") as wire:
        assert tls_of(wire).selected_alpn_protocol() == "h2"
    with connect(edge.address("http")) as wire:
        wire.send(request % (b"/x?y=1", b"a.example.com"))
        answer = wire.response()
        assert answer.status == 301
        assert answer.fields["location"] == "https://a.example.com/x?y=1"
    assert edge.stat("cluster.api.upstream_rq_200") == 1
    assert edge.stat("cluster.site.upstream_rq_200") == 2


def test_the_edge_serves_grpc(edge: Proxy) -> None:
    trusted = grpc.ssl_channel_credentials((FOLDER / "ca.pem").read_bytes())
    named = [
        ("grpc.ssl_target_name_override", "a.example.com"),
        ("grpc.default_authority", "a.example.com"),
    ]
    where = "{}:{}".format(*edge.address("https"))
    with grpc.secure_channel(where, trusted, options=named) as channel:
        place = channel.unary_unary("/shop.Orders/echo")
        assert place(b"one of these", timeout=20) == b"one of these"
        count = channel.unary_stream("/shop.Orders/count")
        assert len(list(count(b"100", timeout=20))) == 100
    assert edge.stat("cluster.orders.upstream_cx_http2_total") == 1
