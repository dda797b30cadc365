"""`dragoman demo` without its processes: configuration, metrics, tables."""

import asyncio
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from dragoman.cli import demo
from dragoman.cli.demo import layout, metrics, table
from dragoman.cli.demo.client import AnswerError, Client
from dragoman.cli.demo.display import Pipe
from dragoman.cli.demo.layout import Route
from dragoman.cli.demo.metrics import Latency, Look, Row, Side
from dragoman.cli.demo.origins import ANSWERS, converse
from dragoman.cli.demo.table import Board
from dragoman.cli.proxy import Address
from dragoman.config import render_text
from dragoman.server.options import Options
from dragoman.server.startup import diagnose

PORTS = {"steady": 9001, "slow": 9002, "failing": 9003}
QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]


def histogram(name: str, scale: float, bins: list[tuple[float, float, int]]) -> dict[str, Any]:
    """As /stats prints it; the percentile P is P * scale, twice that in the interval."""
    return {
        "name": name,
        "totals": [{"lower_bound": low, "width": w, "count": n} for low, w, n in bins],
        "intervals": [],
        "percentiles": [{"cumulative": p * scale, "interval": 2 * p * scale} for p in QUANTILES],
    }


def stats(counters: dict[str, int], *histograms: dict[str, Any]) -> str:
    items: list[Any] = [{"name": name, "value": value} for name, value in counters.items()]
    items.append({"histograms": {"supported_percentiles": QUANTILES, "details": histograms}})
    return json.dumps({"stats": items})


def board(*rows: Row, history: dict[str, list[float | None]] | None = None) -> Board:
    return Board("title", [("admin page", "http://here")], rows, history or {})


def row(route: str = "slow", endpoint: str = "", errors: float | None = 0.0) -> Row:
    side = Side(120.0, errors, (0.5, 9.0, 99.96, 12345.0))
    return Row(route, endpoint, side, Side(None, None, (None,) * 4), ((1.0, 0.1, 5),))


def text(lines: list[table.Line]) -> list[str]:
    return table.plain(lines).splitlines()


def test_the_configuration_is_right(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(layout.configuration(PORTS, 10000, Address("127.0.0.1", 9901)))
    found = diagnose(Options(config_path=str(file), mode="validate"))
    assert not found, render_text(found)


def test_every_route_has_its_origins() -> None:
    config = yaml.safe_load(layout.configuration(PORTS, 0, Address("::1", 0)))
    assert config["admin"]["address"]["socket_address"] == {"address": "::1", "port_value": 0}
    found = {
        cluster["name"]: [
            one["endpoint"]["address"]["socket_address"]["port_value"]
            for one in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        ]
        for cluster in config["static_resources"]["clusters"]
    }
    assert found == {route.name: [PORTS[one] for one in route.origins] for route in layout.ROUTES}


def test_turns_are_shared_and_spread() -> None:
    turns = layout.turns((Route("a", (), 4), Route("b", (), 2)))
    assert Counter(turns) == {"a": 4, "b": 2}
    assert "aaa" not in "".join(turns)


def test_a_look_is_read_from_the_admin_page() -> None:
    body = stats({"c": 3}, histogram("h", 0.1, [(1.0, 0.1, 7)]))
    look = metrics.read(body, 5.0)
    assert look.counters == {"c": 3}
    assert look.latencies["h"].total == pytest.approx((5.0, 9.0, 9.9, 9.99))
    assert look.latencies["h"].recent == pytest.approx((10.0, 18.0, 19.8, 19.98))
    assert look.latencies["h"].bins == ((1.0, 0.1, 7),)


def test_rows_have_rates_of_both_spans() -> None:
    latency = Latency((1.0,) * 4, (2.0,) * 4, ())
    endpoint = "cluster.slow.endpoint.127.0.0.1_9002."

    def look(at_s: float, route: tuple[int, int], host: tuple[int, int]) -> Look:
        names = ("cluster.slow.upstream_rq_completed", "cluster.slow.upstream_rq_5xx")
        counters = dict(zip(names, route, strict=True))
        counters |= {f"{endpoint}rq_total": host[0], f"{endpoint}rq_error": host[1]}
        return Look(at_s, counters, {"vhost.demo.route.slow.upstream_rq_time": latency})

    looks = look(0, (10, 0), (10, 0)), look(8, (50, 8), (50, 0)), look(10, (110, 20), (60, 5))
    found = metrics.rows((Route("slow", ("slow",), 1),), PORTS, *looks)
    assert found == [
        Row("slow", "", Side(30, 0.2, (1.0,) * 4), Side(10, 0.2, (2.0,) * 4), ()),
        Row("slow", "slow 9002", Side(5, 0.5, (None,) * 4), Side(5, 0.1, (None,) * 4), ()),
    ]


def test_no_requests_and_no_time_are_no_error() -> None:
    look = Look(1.0, {}, {})
    (found, _) = metrics.rows((Route("slow", ("slow",), 1),), PORTS, look, look, look)
    assert found.recent == Side(None, None, (None,) * 4)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (9999.0, "9999"),
        (9999.9, "10s"),
        (1e9, "999s"),
    ],
)
def test_milliseconds_fit_four_places(value: float | None, shown: str) -> None:
    assert table.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "-"), (0.0, "0%"), (0.049, "4.9%"), (0.0994, "9.9%"), (0.0996, "10%"), (1.0, "100%")],
)
def test_percent_fits_four_places(share: float | None, shown: str) -> None:
    assert table.percent(share) == shown


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_what_is_shown_fits(width: int, height: int) -> None:
    rows = [row(), row("slow", "failing 65535"), row("mixed")]
    shown = table.lines(board(*rows, history={"slow": [1.0] * 900}), width, height)
    assert len(shown) <= height
    assert max(map(len, text(shown))) <= width


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    whole = board(row(), history={"slow": [1.0]})
    small, big = (text(table.lines(whole, 80, height)) for height in (8, 24))
    assert big[: len(small)] == small
    assert any(line.startswith("P99 over time") for line in big)
    assert not any(line.startswith(("P99 over time", "by latency")) for line in small)


def test_endpoints_hang_below_their_route() -> None:
    rows = [row("mixed"), row("mixed", "slow 1"), row("mixed", "steady 2"), row("slow")]
    names = [line.split("│")[0].rstrip() for line in text(table.table(rows))[2:]]
    assert names == ["mixed", "├ slow 1", "└ steady 2", "slow"]


def test_a_row_in_full() -> None:
    (line,) = text(table.table([row(errors=0.049)]))[2:]
    assert line == (
        "slow           │  120 4.9% 0.50 9.00  100   12s│    -    -    -    -    -     -"
    )


def test_many_errors_stand_out() -> None:
    def style(errors: float) -> str:
        (line,) = table.table([row(errors=errors)])[2:]
        return line[3].style

    assert [style(errors) for errors in (0.0, 0.001, 0.05)] == ["dim", "yellow", "bold red"]


def test_a_distribution_shows_its_tail() -> None:
    bars = table.distribution(((0.0, 0.1, 1), (5.0, 0.1, 999), (310.0, 10.0, 1), (1e6, 1e5, 1)), 5)
    assert len(bars) == 20
    heights = {place: bar.text for place, bar in enumerate(bars) if bar.text != " "}
    assert heights == {0: "▁", 8: "█", 17: "▁", 19: "▁"}
    assert bars[8].style == "green"
    assert bars[17].style == "red"


def test_an_axis_is_as_long_as_its_distribution() -> None:
    for cells in range(5, 20):
        assert len(table.axis(cells)) <= cells * 4 == len(table.distribution((), cells))
        assert table.axis(cells).index("10 ") == 2 * cells


def test_history_has_gaps() -> None:
    (_, line) = text(table.history(board(history={"slow": [1.0, None, 1000.0]}), 80))
    assert line == f"{'slow':<15}▂ █ 1000"


def test_a_pipe_gets_a_table_now_and_then_and_the_last() -> None:
    now = 0.0
    out = io.StringIO()
    pipe = Pipe(out, lambda: now)
    for step in range(1, 6):
        now = float(step)
        pipe.show(board()._replace(title=f"at {step}"))
    pipe.close(board()._replace(title="the end"))
    titles = [line for line in out.getvalue().splitlines() if line.startswith(("at", "the"))]
    assert titles == ["at 2", "at 4", "the end"]


@pytest.mark.parametrize("argv", [["--seconds=0"], ["--seconds=3601"], ["--rate=0"], ["--rate=x"]])
def test_everything_is_bounded(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        demo.main(argv)
    assert end.value.code == 1
    assert argv[0].partition("=")[0] in capsys.readouterr().err


def test_print_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--print-config", "--admin", ":9000"]) == 0
    expected = layout.configuration(layout.EXAMPLE_PORTS, 10000, Address("127.0.0.1", 9000))
    assert capsys.readouterr().out == expected


async def _ask(answer: bytes, times: int) -> list[tuple[int, bytes]]:
    """What the client makes of `answer` from an origin."""

    async def reply() -> bytes:
        return answer

    handlers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        await converse(reply, reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(*server.sockets[0].getsockname())
    try:
        return [await client.get("/") for _ in range(times)]
    finally:
        client.close()
        server.close()
        await asyncio.gather(*filter(None, handlers))


@pytest.mark.parametrize("extra", ["", "connection: close\r\n"])
def test_the_client_reads_answers_in_turn(extra: str) -> None:
    answer = f"HTTP/1.1 503 Busy\r\n{extra}Content-Length: 2\r\n\r\nno".encode()
    assert asyncio.run(_ask(answer, 3)) == [(503, b"no")] * 3


@pytest.mark.parametrize(
    "head",
    ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 2 x\r\ncontent-length: -1\r\n\r\n"],
)
def test_the_client_refuses_what_it_cannot_read(head: str) -> None:
    with pytest.raises(AnswerError):
        asyncio.run(_ask(head.encode(), 1))


def test_origins_answer_as_they_are_named() -> None:
    async def many(name: str) -> set[bytes]:
        answers = await asyncio.gather(*(ANSWERS[name]() for _ in range(1000)))
        return {answer.split(b"\r\n")[0] for answer in answers}

    assert asyncio.run(many("steady")) == {b"HTTP/1.1 200 OK"}
    assert b"HTTP/1.1 503 Service Unavailable" in asyncio.run(many("failing"))
    assert set(ANSWERS) == set(layout.ORIGINS)
