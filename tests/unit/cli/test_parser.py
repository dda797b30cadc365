import pytest

from dragoman.cli.parser import Once, Parser, did_you_mean, one_of, unsigned


def parser() -> Parser:
    made = Parser("dragoman test", "A test.")
    made.add_argument("--mode", action=Once, type=one_of("mode", "serve", "validate"))
    made.add_argument("--number", action=Once, type=unsigned)
    return made


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        parser().read(argv)
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--mode", "serve"], ["--mode=serve"]])
def test_a_value_may_follow_or_be_joined(argv: list[str]) -> None:
    assert parser().read(argv).mode == "serve"


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown argument '--mod=x'; did you mean '--mode'?" in refused(capsys, "--mod=x")


def test_a_stray_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown argument 'extra'" in refused(capsys, "extra")


def test_an_option_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--number is given more than once" in refused(capsys, "--number=1", "--number", "1")


def test_a_wrong_word_lists_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    shown = refused(capsys, "--mode", "valdate")
    assert "unknown mode 'valdate' (one of serve, validate); did you mean 'validate'?" in shown


@pytest.mark.parametrize("text", ["x", "-1", "4294967296", ""])
def test_numbers_are_unsigned_32_bit(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "--number" in refused(capsys, f"--number={text}")


def test_the_largest_number() -> None:
    assert parser().read(["--number=4294967295"]).number == 2**32 - 1


def test_nothing_near_no_hint() -> None:
    assert did_you_mean("xyz", ["serve"]) == ""
