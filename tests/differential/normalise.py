"""Masks what may differ between two runs without meaning anything, and nothing else.

Masked: dates of the right shape, UUID version 4 request ids (numbered, so equal ids stay equal),
upstream service time, port numbers, times and durations, boot-time paths. Header order is ignored
except among headers of one name, unless HEADER_ORDER says otherwise.
"""

from __future__ import annotations

import re

HEADER_ORDER = "ignore"  # or "keep"

_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_UUID4 = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_SERVICE_TIME = re.compile(r"^\d+$")
# Only ephemeral ports: a port that a configuration or a request names is worth comparing.
_LOOPBACK_PORT = re.compile(r"(127\.0\.0\.1:|\[::1\]:)(3[2-9]|[456]\d)\d{3}\b")


class Normaliser:
    """One per run: it knows that run's ports and numbers its request ids."""

    def __init__(
        self,
        ports: dict[str, int],
        masks: list[str] | None = None,
        hidden: dict[str, str] | None = None,
    ) -> None:
        self._hidden = hidden or {}
        # Not within words: request ids and fingerprints hold such digits too.
        self._ports = {
            re.compile(rf"(?<![0-9A-Za-z]){port}(?![0-9A-Za-z])"): f"<{name}>"
            for name, port in ports.items()
        }
        self._masks = [re.compile(mask) for mask in masks or []]
        self._ids: dict[str, str] = {}

    def _uuid(self, match: re.Match[str]) -> str:
        return self._ids.setdefault(match.group(0), f"<uuid4 {len(self._ids) + 1}>")

    def text(self, text: str) -> str:
        """A log line, a body or a header value, masked."""
        for known, shown in self._hidden.items():
            text = text.replace(known, shown)
        for mask in self._masks:
            text = mask.sub("<masked>", text)
        # Before the ports: their digits may stand in an id too.
        text = _UUID4.sub(self._uuid, text)
        for pattern, name in self._ports.items():
            text = pattern.sub(name, text)
        text = _LOOPBACK_PORT.sub(r"\1<port>", text)
        text = _TIME.sub("<time>", text)
        return _DATE.sub("<date>", text)

    def header(self, name: str, value: str) -> str:
        """One header line, masked."""
        if name.lower() == "x-envoy-upstream-service-time" and _SERVICE_TIME.match(value):
            value = "<ms>"
        return f"{name}: {self.text(value)}"

    def headers(self, headers: list[tuple[str, str]]) -> list[str]:
        """Header lines, masked, in the order that is compared."""
        kept = headers
        if HEADER_ORDER == "ignore":
            kept = sorted(headers, key=lambda header: header[0].lower())
        return [self.header(name, value) for name, value in kept]
