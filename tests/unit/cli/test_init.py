import subprocess
import sys

import pytest

import dragoman
from dragoman import cli


def test_no_arguments_show_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 1
    shown = capsys.readouterr().err
    assert all(name in shown for name in cli.COMMANDS)


def test_help_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "commands:" in capsys.readouterr().out


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["valdate"]) == 1
    assert "did you mean 'validate'?" in capsys.readouterr().err


def test_options_without_a_command_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert dragoman.__version__ in capsys.readouterr().out


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "--hot-restart-version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "disabled\n"


def test_a_bad_command_line_loads_neither_engine_nor_configuration() -> None:
    code = (
        "import sys; from dragoman.cli import main\n"
        "try: main(['run', '--nonsense'])\n"
        "except SystemExit as end: assert end.code == 1\n"
        "heavy = {'asyncio', 'yaml', 'google.protobuf', 'starlette', 'dragoman._core'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
