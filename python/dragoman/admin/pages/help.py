"""/ and /help: the list of commands, as a page and as text."""

from collections.abc import Sequence
from html import escape

from dragoman.admin import html
from dragoman.admin.answer import Answer
from dragoman.admin.command import Command


def help_text(commands: Sequence[Command]) -> str:
    """The list as text; it also follows "invalid path" in a 404."""
    lines = ["admin commands are:"]
    for command in commands:
        method = " (POST)" if command.mutates else ""
        lines.append(f"  {command.path}{method}: {command.help}")
        lines += [f"      {param.name}: {param.text}" for param in command.params]
    return "".join(f"{line}\n" for line in lines)


def home(commands: Sequence[Command]) -> Answer:
    """The list as a page: links for what shows, buttons for what changes."""
    rows = "".join(_row(command) for command in commands if command.path != "/")
    return html.page("admin", f"<table>{rows}</table>")


def _row(command: Command) -> str:
    # Relative, so that the page also works behind a path prefix.
    path = escape(command.path.lstrip("/"))
    if command.mutates:
        action = f'<form action="{path}" method="post"><button>{path}</button></form>'
    else:
        action = f'<a href="{path}">{path}</a>'
    params = "".join(
        f"<dt>{escape(param.name)}</dt><dd>{escape(param.text)}</dd>" for param in command.params
    )
    more = f"<details><summary>parameters</summary><dl>{params}</dl></details>" if params else ""
    return f"<tr><td>{action}</td><td>{escape(command.help)}{more}</td></tr>"
