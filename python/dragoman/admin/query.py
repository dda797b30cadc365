"""A request's query string, read as Envoy reads it: percent-decoded, `+` stays a plus."""

from urllib.parse import unquote

from dragoman._core import Regex
from dragoman.admin.answer import RefusalError


class Query:
    """The parameters in the order given; of a repeated one the first counts."""

    def __init__(self, text: str) -> None:
        self.items: list[tuple[str, str]] = []
        for item in filter(None, text.split("&")):
            name, _, value = item.partition("=")
            self.items.append((unquote(name), unquote(value)))

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.items)

    def get(self, name: str) -> str | None:
        """The value of `name`; None if it isn't there or empty."""
        for key, value in self.items:
            if key == name:
                return value or None
        return None

    def pattern(self, name: str) -> Regex | None:
        """The value of `name` as a regular expression. Refuses one that doesn't compile."""
        text = self.get(name)
        if text is None:
            return None
        try:
            return Regex(text)
        except ValueError as error:
            raise RefusalError(400, f"Invalid re2 regex: {error}: {text}") from None
