import pytest

from dragoman.cli.parser import Flag, Parser, did_you_mean, one_of, unsigned

PARSER = Parser(
    "dragoman test",
    "A test.",
    (
        Flag(("-m", "--mode"), "which", one_of("mode", "serve", "validate"), "MODE"),
        Flag(("--number",), "how many", unsigned, "N"),
        Flag(("--tag",), "labels", str, "TAG", many=True),
        Flag(("--be-quick",), "hurry"),
    ),
    ("file",),
)


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        PARSER.read(argv)
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--mode", "serve"], ["--mode=serve"], ["-m", "serve"]])
def test_a_value_may_follow_or_be_joined(argv: list[str]) -> None:
    assert PARSER.read([*argv, "x"])["mode"] == "serve"


def test_values_of_what_is_not_given() -> None:
    assert PARSER.read(["x"]) == {
        "mode": None,
        "number": None,
        "tag": [],
        "be_quick": False,
        "file": "x",
    }


def test_a_value_may_look_like_anything() -> None:
    values = PARSER.read(["--tag=a=b", "--tag", "--mode", "x", "--be-quick"])
    assert values["tag"] == ["a=b", "--mode"]
    assert values["mode"] is None
    assert values["be_quick"] is True


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["x", "--mod=x"], "unknown argument '--mod=x'; did you mean '--mode'?"),
        (["x", "extra"], "unknown argument 'extra'"),
        ([], "FILE is missing"),
        (["x", "--number=1", "--number", "1"], "--number is given more than once"),
        (["x", "--number"], "--number needs a value"),
        (["x", "--be-quick=yes"], "--be-quick takes no value"),
        (
            ["x", "--mode", "valdate"],
            "--mode: unknown mode 'valdate' (one of serve, validate); did you mean 'validate'?",
        ),
    ],
)
def test_what_is_refused(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    shown = refused(capsys, *argv)
    assert shown == f"error: {message}\n`dragoman test --help` lists the options.\n"


@pytest.mark.parametrize("text", ["x", "-1", "4294967296", "", "1.5", "²", "1_0"])
def test_numbers_are_unsigned_32_bit(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "--number: " in refused(capsys, f"--number={text}")


def test_the_largest_number() -> None:
    assert PARSER.read(["--number=4294967295", "x"])["number"] == 2**32 - 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as end:
        PARSER.read([flag])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: dragoman test [OPTIONS] FILE\n" in shown
    assert "  -m, --mode MODE\n        which\n" in shown
    assert "  --be-quick\n        hurry\n" in shown


def test_nothing_near_no_hint() -> None:
    assert did_you_mean("xyz", ["serve"]) == ""
