"""The frame of an HTML page: one small style sheet, no scripts, nothing loaded from elsewhere."""

from html import escape

from dragoman.admin.answer import HTML, Answer

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --link: #2a6fb0 }
@media (prefers-color-scheme: dark) { :root { --link: #7db7ee } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem }
h1 { font-size: 1.3rem; margin: 0 0 1rem } h1 a { color: inherit; text-decoration: none }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
         border-bottom: 1px solid var(--line) }
a { color: var(--link) } pre { overflow-x: auto; font-size: 13px }
button { font: inherit; padding: .1rem .7rem; border: 1px solid var(--line); border-radius: 4px;
         background: var(--soft); cursor: pointer }
input, select { font: inherit; padding: .1rem .3rem } label { margin-right: .8rem }
details { color: GrayText } dl { margin: .3rem 0 0; display: grid; gap: .1rem .8rem;
          grid-template-columns: max-content 1fr } dd { margin: 0 }
"""


def page(title: str, body: str) -> Answer:
    """A page named `title`; `body` is HTML."""
    name = escape(title)
    return Answer(
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name} - Dragoman'
        f'</title><style>{_STYLE}</style></head>\n<body><h1><a href="./">Dragoman</a> · {name}'
        f"</h1>\n{body}\n</body></html>\n",
        content_type=HTML,
    )
