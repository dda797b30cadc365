"""What a page gives back: status, content type and body."""

import json
from dataclasses import dataclass
from typing import Any

TEXT = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    body: str
    status: int = 200
    content_type: str = TEXT


class RefusalError(Exception):
    """Ends a page early with an error answer."""

    def __init__(self, status: int, body: str, content_type: str = TEXT) -> None:
        super().__init__(body)
        self.answer = Answer(body, status, content_type)


OK = Answer("OK\n")


def json_answer(value: Any) -> Answer:
    """`value` as Envoy prints protobuf messages: indented by one space, with a newline."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    # Only texts have them, and in none can they begin a tag of HTML then.
    text = text.replace("<", "\\u003c").replace(">", "\\u003e")
    return Answer(text + "\n", content_type=JSON)
