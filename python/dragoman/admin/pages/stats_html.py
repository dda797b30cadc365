"""/stats?format=html: the text, under a form that makes the next request."""

from html import escape

from dragoman.admin import html
from dragoman.admin.answer import Answer
from dragoman.admin.query import Query
from dragoman.stats.selection import TYPES


def render(text: str, query: Query, kind: str) -> Answer:
    """A page with `text` and the parameters that led to it."""
    kinds = "".join(
        f"<option{' selected' if name == kind else ''}>{name}</option>" for name in TYPES
    )
    form = (
        '<form action="stats" method="get"><input type="hidden" name="format" value="html">'
        f'<label>filter <input name="filter" value="{escape(query.get("filter") or "")}"></label>'
        f'<label>type <select name="type">{kinds}</select></label>'
        f"{_checkbox('usedonly', query)}{_checkbox('invert_filter', query)}"
        "<button>show</button></form>"
    )
    return html.page("stats", f"{form}<pre>{escape(text)}</pre>")


def _checkbox(name: str, query: Query) -> str:
    checked = " checked" if name in query else ""
    return f'<label><input type="checkbox" name="{name}"{checked}> {name}</label>'
