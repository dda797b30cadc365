"""TCP in the harness: ends in order, short forms, PROXY headers, its client at its own origin."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.differential.case import Case, bootstrap
from tests.differential.client import Connection
from tests.differential.content import to_bytes
from tests.differential.normalise import Normaliser
from tests.differential.origin import Answer, Origin
from tests.differential.raw import Ends
from tests.differential.stage import free_port, separable
from tests.differential.transcript import Observation, show_client, show_origin, show_raw


def a_case(config: dict[str, Any], **more: Any) -> Case:
    return Case("x", Path("x.yaml"), "t", [], [], config, **more)


def test_ends_are_kept_in_order_and_once() -> None:
    ends = Ends()
    assert str(ends) == "open"
    assert not ends.received
    for event in ("FIN sent", "FIN sent", "RST received"):
        ends.note(event)
    assert str(ends) == "FIN sent, then RST received"
    assert ends.received


def filters(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The first filter of each chain."""
    listener = bootstrap(a_case(config))["static_resources"]["listeners"][0]
    return [chain["filters"][0] for chain in listener["filter_chains"]]


def test_a_tcp_proxy_instead_of_the_connection_manager() -> None:
    (only,) = filters({"tcp": {"idle_timeout": "1s"}, "access_log": "%DURATION%\n"})
    assert only["name"] == "envoy.filters.network.tcp_proxy"
    config = only["typed_config"]
    assert (config["cluster"], config["idle_timeout"]) == ("origin", "1s")
    (logger,) = config["access_log"]
    assert logger["typed_config"]["log_format"] == {
        "text_format_source": {"inline_string": "%DURATION%\n"}
    }
    weighted = {"weighted_clusters": {"clusters": [{"name": "blue", "weight": 1}]}}
    assert "cluster" not in filters({"tcp": weighted})[0]["typed_config"]


def test_chains_of_both_kinds() -> None:
    config = {"chains": [{"tcp": "blue"}, {"answer": "x"}]}
    one, two = filters(config)
    assert one["typed_config"]["cluster"] == "blue"
    assert two["name"] == "envoy.filters.network.http_connection_manager"
    case = a_case(config)
    assert not case.raw
    assert (case.talks("blue"), case.talks("origin")) == ("echo", "http")
    assert a_case({"chains": [{"tcp": "blue"}]}).raw
    assert a_case({"tcp": "origin"}, origins={"origin": {"talks": "quiet"}}).talks("origin") == (
        "quiet"
    )


def test_listener_filters_in_their_order() -> None:
    made = bootstrap(a_case({"tls_inspector": True, "proxy_protocol": {"stat_prefix": "p"}}))
    first, second = made["static_resources"]["listeners"][0]["listener_filters"]
    assert first["typed_config"]["stat_prefix"] == "p"
    assert second["name"] == "envoy.filters.listener.tls_inspector"


def test_groups_of_statistics_are_written_out() -> None:
    case = a_case({"tcp": "origin"}, compare={"stats": ["tcp", "cluster.origin.x"]})
    assert "cluster.origin.upstream_cx_destroy*" in case.stats
    assert case.stats[-1] == "cluster.origin.x"
    assert separable(case)


def test_a_proxy_header_of_version_2() -> None:
    ends = {"source": "192.0.2.1:1234", "to": "198.51.100.2:443", "tlvs": "ff"}
    data = to_bytes({"proxy_v2": ends})
    assert data.hex() == "0d0a0d0a000d0a515549540a2111000dc0000201c633640204d201bbff"
    six = to_bytes({"proxy_v2": {"source": "[::1]:1", "to": "[::2]:2"}})
    assert (six[13], len(six)) == (0x21, 16 + 36)
    assert to_bytes({"proxy_v2": {"command": 0}}).hex().endswith("20000000")


def test_bytes_without_http() -> None:
    masks = Normaliser({})
    assert show_raw(b"hi\r\n\r\n", masks) == ["  6 bytes: hi\\r\\n\\r\\n"]
    assert show_raw(bytes.fromhex("15030100020246"), masks) == ["  TLS: alert protocol_version"]


Talk = Callable[[Connection, Origin], Awaitable[None]]


def talk(talks: str, script: Talk, answers: list[Answer] | None = None) -> tuple[str, str]:
    """What the client and the origin show after `script`, over TCP."""

    async def run() -> tuple[str, str]:
        with contextlib.ExitStack() as keep:
            origin = Origin("o", free_port(keep), talks=talks)
            client = Connection("c", raw=True)
            origin.answers.extend(answers or [])
            await origin.start()
            await client.open(origin.port)
            client.listen()
            await script(client, origin)
            seen, masks = Observation(), Normaliser({})
            shown = show_client(client, masks, seen), show_origin(origin, masks, seen)
            client.close()
            await origin.stop()
            return shown

    return asyncio.run(run())


async def until(done: Callable[[], bool]) -> None:
    """A condition on the other end's state, within a bound."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came")


def test_an_echo_ends_when_its_peer_does() -> None:
    async def script(client: Connection, origin: Origin) -> None:
        await client.send(b"hello")
        await client.wait(lambda: client.received == b"hello", "hello")
        client.half_close()
        await client.wait(lambda: client.ended, "the end")

    client, origin = talk("echo", script)
    assert "5 bytes: hello\n  connection: FIN sent, then FIN received" in client
    assert "5 bytes: hello\n  connection: FIN received, then closed" in origin


def test_a_quiet_origin_answers_once_enough_is_there() -> None:
    async def script(client: Connection, origin: Origin) -> None:
        await client.send(b"abc")
        await until(lambda: bool(origin.connections and origin.connections[0].received))
        assert client.received == b""
        await client.send(b"def")
        await client.wait(lambda: client.received == b"six", "six")
        client.half_close()
        await until(lambda: origin.connections[0].ended)

    client, origin = talk("quiet", script, [Answer(complete=["six"], after=6)])
    assert "3 bytes: six\n  connection: FIN sent" in client
    assert "6 bytes: abcdef\n  connection: FIN received" in origin


def test_a_reset_behind_a_fin_is_seen() -> None:
    async def script(client: Connection, origin: Origin) -> None:
        await client.wait(lambda: client.ended, "the end")
        await client.send(b"anybody?")
        await client.wait(lambda: "RST" in client.look(), "a RST", poll=0.02)

    client, _ = talk("quiet", script, [Answer(connect=[{"do": "close"}])])
    assert "connection: FIN received, then RST received" in client


def test_a_deaf_origin_reads_when_it_is_told_to() -> None:
    async def script(client: Connection, origin: Origin) -> None:
        await client.send(b"hello")
        await until(lambda: bool(origin.connections))
        assert not origin.connections[0].received
        await origin.play(origin.connections[0], [{"do": "listen"}])
        await until(lambda: bytes(origin.connections[0].received) == b"hello")

    _, origin = talk("deaf", script)
    assert "5 bytes: hello\n  connection: open" in origin


def test_raw_unix_sockets_have_ends_too() -> None:
    async def run(path: str) -> str:
        origin, client = Origin("o", path=path, talks="echo"), Connection("c", raw=True)
        await origin.start()
        await client.open(path)
        client.listen()
        client.half_close()
        await client.wait(lambda: client.ended, "the end")
        shown = client.look()
        client.close()
        await origin.stop()
        return shown

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(run(f"{folder}/o.sock")) == "FIN sent, then FIN received"
