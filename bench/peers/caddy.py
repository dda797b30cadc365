"""Caddy with one Go processor. Adds its forwarded headers by default, as the others are told to."""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer import Peer, found, version_of
from bench.site import Place, Site

CONFIG = """\
{{
    admin off
    auto_https off
    log {{
        level ERROR
        output stderr
    }}
}}
http://:{listen} {{
    bind 127.0.0.1
{log}
    reverse_proxy 127.0.0.1:{origin} {{
        transport http {{
            keepalive 300s
            keepalive_idle_conns 256
            keepalive_idle_conns_per_host 256
            compression off
        }}
    }}
}}
"""


class Caddy(Peer):
    """A reverse proxy site without TLS."""

    name = "caddy"
    title = "Caddy"

    def program(self) -> Path | None:
        return found("caddy")

    def version(self) -> str:
        return version_of(self.program(), "version")

    def refusal(self, site: Site) -> str | None:
        if site.tcp:
            return "it proxies HTTP"
        if site.tls or site.http2:
            return "compared without TLS and HTTP/2 only"
        return "routes are tried one by one" if site.hosts or site.routes else None

    def environment(self, site: Site, place: Place) -> dict[str, str]:
        folder = str(place.folder)
        return {
            "GOMAXPROCS": str(site.workers),
            "HOME": folder,
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
        }

    def command(self, site: Site, place: Place) -> list[str]:
        path = place.folder / "Caddyfile"
        log = f"    log {{\n        output file {place.access_log}\n        level INFO\n    }}"
        path.write_text(
            CONFIG.format(
                listen=place.listen, origin=place.origin, log=log if site.access_log else ""
            )
        )
        return [str(self.program()), "run", "--config", str(path), "--adapter", "caddyfile"]
