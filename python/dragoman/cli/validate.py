"""`dragoman validate`: everything that is wrong with a configuration, and where."""

from collections.abc import Sequence

from dragoman.cli.parser import Once, Parser, one_of
from dragoman.server.options import Options


def main(argv: Sequence[str]) -> int:
    """Prints the diagnostics of a file. Returns 0 if it can be used, else 1."""
    parser = Parser("dragoman validate", "Checks a configuration without running it.")
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument(
        "--format",
        action=Once,
        type=one_of("format", "text", "json"),
        default="text",
        metavar="text|json",
        help="how to print what is found (text)",
    )
    parser.add_argument(
        "--allow-unknown-static-fields", action="store_true", help="accept unknown fields"
    )
    values = parser.read(argv)
    options = Options(
        config_path=values.file,
        mode="validate",
        allow_unknown_static_fields=values.allow_unknown_static_fields,
    )
    from dragoman.config import render_json, render_text
    from dragoman.server.startup import diagnose

    found = diagnose(options)
    if values.format == "json":
        print(render_json(found))
    else:
        print(render_text(found), end="")
    usable = all(diagnostic.severity != "error" for diagnostic in found)
    if usable and values.format == "text":
        print(f"configuration '{values.file}' OK")
    return 0 if usable else 1
