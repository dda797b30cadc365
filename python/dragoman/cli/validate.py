"""`dragoman validate`: everything that is wrong with a configuration, and where."""

from collections.abc import Sequence

from dragoman.cli.parser import Flag, Parser, one_of
from dragoman.server.options import Options

PARSER = Parser(
    "dragoman validate",
    "Checks a configuration without running it.",
    (
        Flag(
            ("--format",),
            "how to print what is found (text)",
            one_of("format", "text", "json"),
            "text|json",
        ),
        Flag(("--allow-unknown-static-fields",), "accept unknown fields"),
    ),
    ("file",),
)


def main(argv: Sequence[str]) -> int:
    """Prints the diagnostics of a file. Returns 0 if it can be used, else 1."""
    values = PARSER.read(argv)
    options = Options(
        config_path=values["file"],
        mode="validate",
        allow_unknown_static_fields=values["allow_unknown_static_fields"],
    )
    from dragoman.config import render_json, render_text
    from dragoman.server.startup import diagnose

    found = diagnose(options)
    if values["format"] == "json":
        print(render_json(found))
    else:
        print(render_text(found), end="")
    usable = all(diagnostic.severity != "error" for diagnostic in found)
    if usable and values["format"] != "json":
        print(f"configuration '{options.config_path}' OK")
    return 0 if usable else 1
