"""The harness's own parts: framing, how cases write bytes, masking, merging, judging.

No sockets: what needs a proxy is tested by the cases themselves.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.differential.case import Case, bootstrap, fill, load, merge, placeholders
from tests.differential.client import request_methods
from tests.differential.content import CaseError, CaseLoader, to_bytes
from tests.differential.framing import Incomplete, parse
from tests.differential.judge import judge, unmet
from tests.differential.normalise import Normaliser
from tests.differential.run import parse_stats
from tests.differential.script import check_step, get_bytes
from tests.differential.transcript import Observation, show_rest, split_messages


def fed(data: bytes, kind: str, method: str = "GET") -> tuple[bytes, str]:
    """Parses `data` whole; every shorter prefix must ask for more."""
    for size in range(len(data)):
        with pytest.raises(Incomplete):
            parse(data[:size], "request" if kind == "request" else "response", method=method)
    message = parse(data + b"tail", "request" if kind == "request" else "response", method=method)
    assert message.size == len(data)
    return message.body, message.framing


@pytest.mark.parametrize(
    ("data", "kind", "method", "body", "framing"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "request", "", b"", "none"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", "request", "", b"hi", "length"),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\nt: 1\r\n\r\n",
            "request", "", b"hi", "chunked",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "response", "GET", b"hi", "length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "response", "HEAD", b"", "none"),
        (b"HTTP/1.1 304 OK\r\ncontent-length: 2\r\n\r\n", "response", "GET", b"", "none"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "response", "GET", b"", "none"),
    ],
)  # fmt: skip
def test_framing(data: bytes, kind: str, method: str, body: bytes, framing: str) -> None:
    assert fed(data, kind, method) == (body, framing)


def test_a_close_delimited_response_needs_the_end() -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    with pytest.raises(Incomplete):
        parse(data, "response")
    assert parse(data, "response", ended=True).body == b"all of it"


def test_a_stream_is_split_by_the_methods_that_were_asked() -> None:
    data = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nrest"
    messages, rest = split_messages(data, "response", ["HEAD", "GET"], False)
    assert [message.status for message in messages] == [200, 204]
    assert rest == b"rest"
    assert request_methods(b"HEAD / HTTP/1.1\r\n\r\nGET /") == ["HEAD", "GET"]


def test_bytes_of_a_case() -> None:
    value = yaml.load(
        """
        - |
          POST / HTTP/1.1
          host: a

          two
          lines
        - "exact\\n"
        - {chunk: hello}
        - {hex: "00ff"}
        - {repeat: ab, times: 2}
        """,
        CaseLoader,
    )
    assert to_bytes(value) == (
        b"POST / HTTP/1.1\r\nhost: a\r\n\r\ntwo\nlinesexact\n5\r\nhello\r\n\x00\xffabab"
    )
    with pytest.raises(CaseError):
        to_bytes({"bytes": "x"})


def test_get_step() -> None:
    step = {"get": "/x", "headers": [["a", "1"], ["a", "2"]], "host": "h"}
    assert get_bytes(step) == b"GET /x HTTP/1.1\r\nhost: h\r\na: 1\r\na: 2\r\n\r\n"


@pytest.mark.parametrize("step", [{"get": "/", "hosts": "a"}, {"host": "a"}, {True: "c2"}, "get"])
def test_bad_steps_are_told(step: object) -> None:
    with pytest.raises(CaseError):
        check_step(step)


def test_masks() -> None:
    masks = Normaliser({"listener_port": 12345}, masks=["took \\d+"])
    one = "6f1c2d3e-1111-4222-8333-444455556666"
    assert masks.header("x-request-id", one) == "x-request-id: <uuid4 1>"
    assert masks.header("x-request-id", one) == "x-request-id: <uuid4 1>"
    assert masks.header("x-request-id", one.replace("-4", "-9")) != "x-request-id: <uuid4 2>"
    assert masks.header("date", "Mon, 23 Nov 2026 20:00:00 GMT") == "date: <date>"
    assert masks.header("date", "yesterday") == "date: yesterday"
    assert masks.header("X-Envoy-Upstream-Service-Time", "7").endswith("<ms>")
    assert masks.text("127.0.0.1:12345 127.0.0.1:40000 took 5 112345 7b12345d") == (
        "127.0.0.1:<listener_port> 127.0.0.1:<port> <masked> 112345 7b12345d"
    )


def test_header_order_is_kept_among_equal_names() -> None:
    masks = Normaliser({})
    assert masks.headers([("b", "2"), ("A", "1"), ("b", "1")]) == ["A: 1", "b: 2", "b: 1"]


def test_an_unfinished_chunked_body_shows_what_came() -> None:
    lines = show_rest(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n4\r\nxx", Normaliser({})
    )
    assert lines[-1] == "  body unfinished: (chunked) hi"


def test_merge_and_placeholders() -> None:
    merged = merge({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": 3}, "l": [2]})
    assert merged == {"a": {"c": 2, "d": 3}, "l": [2]}
    config = {"port": "{{listener_port}}", "text": "at {{listener_port}}"}
    assert placeholders(config) == {"listener_port"}
    assert fill(config, {"listener_port": 5}) == {"port": 5, "text": "at 5"}


def a_case(**more: object) -> Case:
    return Case("x", Path("x.yaml"), "t", [], [], **more)  # type: ignore[arg-type]


def test_bootstrap_of_a_small_case() -> None:
    config = bootstrap(a_case(config={"clusters": ["blue"], "hcm": {"via": "v"}}))
    names = [cluster["name"] for cluster in config["static_resources"]["clusters"]]
    assert names == ["origin", "blue"]
    assert placeholders(config) >= {"listener_port", "admin_port", "port:origin", "port:blue"}


@pytest.mark.parametrize(
    "text",
    [
        "title: t\ncovers: []\n",
        "title: t\ncovers: []\nscript: []\nconfg: {}\n",
        "title: t\ncovers: []\nscript: []\nconfig: {hmc: {}}\n",
        "title: t\ncovers: []\nscript: []\ndiffers: because\n",
        "- a list\n",
    ],
)
def test_bad_case_files_are_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(CaseError, match=r"bad\.yaml"):
        load(file)


def seen(client: str, statuses: list[int], refused: str = "") -> Observation:
    return Observation(
        sections={"client": client}, statuses=statuses, client_ends={"c1": "open"}, refused=refused
    )


def test_judging() -> None:
    plain, on_purpose = a_case(), a_case(must={"statuses": 400}, differs="because")
    ok, bad = seen("200", [200]), seen("400", [400])
    assert judge(plain, ok, ok, same=False).outcome == "equal"
    failed = judge(plain, ok, bad, same=False)
    assert failed.outcome == "failed"
    assert "-200\n+400" in failed.text
    assert judge(on_purpose, ok, bad, same=False).outcome == "different"
    assert judge(on_purpose, ok, ok, same=False).outcome == "failed", "the difference is gone"
    assert judge(on_purpose, bad, bad, same=False).outcome == "failed", "nothing differs any more"
    assert judge(plain, ok, seen("", [], "no"), same=False).outcome == "refused"
    assert judge(plain, seen("", [], "no"), ok, same=False).outcome == "failed"
    refusal = a_case(must={"refused": True})
    assert judge(refusal, seen("", [], "a"), seen("", [], "b"), same=False).outcome == "equal"
    assert judge(refusal, seen("", [], "a"), ok, same=False).outcome == "failed"


def test_must() -> None:
    case = a_case(must={"statuses": [400], "origin_requests": 0, "client_end": "open",
                        "origin_lacks": ["bad"], "log_has": ["x"]})  # fmt: skip
    assert unmet(case, seen("", [400]), skip=("log_has",)) == []
    assert (
        len(unmet(case, Observation(statuses=[200], origin_requests=1, origin_bytes=b"bad"))) == 5
    )


def test_stats_page() -> None:
    assert parse_stats("a.b: 1\nc::1_2: 3\nh: P0(nan)\n") == {"a.b": 1, "c::1_2": 3}
