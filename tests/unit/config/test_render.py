"""How diagnostics look."""

import json

from dragoman.config import Diagnostic, Position, render_json, render_text

FAULT = Diagnostic(
    "DG0102",
    "error",
    "Cluster has no field 'nam'",
    Position("f.yaml", 12, 5, 3),
    "static_resources.clusters[0]",
    "did you mean 'name'?",
    "    nam: c",
)
WARNING = Diagnostic("DG0501", "warning", "old", Position("f.yaml"))


def test_text() -> None:
    assert (
        render_text([FAULT, WARNING], colour=False)
        == """\
error[DG0102]: Cluster has no field 'nam'
  --> f.yaml:12:5
   |
12 |     nam: c
   |     ^^^
   = field: static_resources.clusters[0]
   = help: did you mean 'name'?

warning[DG0501]: old
 --> f.yaml

1 error, 1 warning
"""
    )


def test_nothing_to_say() -> None:
    assert render_text([], colour=False) == ""
    assert json.loads(render_json([])) == {"errors": 0, "warnings": 0, "diagnostics": []}


def test_colour_changes_nothing_but_colour() -> None:
    import re

    painted = render_text([FAULT], colour=True)
    assert "\x1b[1;31m" in painted
    assert re.sub("\x1b\\[[0-9;]*m", "", painted) == render_text([FAULT], colour=False)


def test_what_a_file_says_cannot_steer_a_terminal() -> None:
    evil = FAULT._replace(message="\x1b[2J\r\n", excerpt="\tnam: \x1b[0m\x9b", path="a\u202eb")
    text = render_text([evil], colour=False)
    assert not set(text) & set("\x1b\r\x9b\u202e\t")
    assert "   |     ^^^" in text


def test_a_long_line_is_shown_around_the_caret() -> None:
    line = "x" * 1000 + "nam" + "y" * 1000
    text = render_text(
        [FAULT._replace(excerpt=line, position=Position("f", 1, 1001, 3))], colour=False
    )
    shown, caret = text.split("\n")[3:5]
    assert len(shown) < 130
    start, width = caret.index("^"), caret.count("^")
    assert shown[start : start + width] == "nam"


def test_json() -> None:
    answer = json.loads(render_json([FAULT, WARNING]))
    assert (answer["errors"], answer["warnings"]) == (1, 1)
    assert answer["diagnostics"] == [
        {
            "code": "DG0102",
            "name": "unknown-field",
            "severity": "error",
            "message": "Cluster has no field 'nam'",
            "file": "f.yaml",
            "line": 12,
            "column": 5,
            "end_column": 8,
            "path": "static_resources.clusters[0]",
            "help": "did you mean 'name'?",
        },
        {"code": "DG0501", "name": "deprecated-field", "severity": "warning", "message": "old",
         "file": "f.yaml"},
    ]  # fmt: skip
