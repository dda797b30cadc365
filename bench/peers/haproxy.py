"""HAProxy twice: in HTTP mode, and in TCP mode, where it moves bytes and knows no request."""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer import Peer, found, version_of
from bench.site import Place, Site

HEAD = """\
global
    nbthread {workers}
    maxconn 9000
{log}
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 300s
"""

HTTP = """\
    mode http
    http-reuse always
    option forwardfor
{log}
frontend bench
    bind 127.0.0.1:{listen} backlog 4096{door}
{choice}

backend origin
    server origin 127.0.0.1:{origin}{behind}
"""

TCP = """\
    mode tcp

listen bench
    bind 127.0.0.1:{listen} backlog 4096
    server origin 127.0.0.1:{origin}
"""


def choice(site: Site, folder: Path) -> str:
    """The frontend's lines that choose the backend; lookups go through maps, as in its manual."""
    if site.hosts:
        names, sample = site.host_names(), "req.hdr(host),lower,map({})"
    elif site.routes:
        names, sample = site.prefixes(), "path,map_beg({})"
    else:
        return "    default_backend origin"
    path = folder / "haproxy.map"
    path.write_text("".join(f"{name} origin\n" for name in names))
    return f"    use_backend %[{sample.format(path)}]"


class HaproxyHttp(Peer):
    """HTTP mode with forwarded-for, shared upstream connections, no log unless asked for."""

    name = "haproxy"
    title = "HAProxy (HTTP)"

    def program(self) -> Path | None:
        return found("haproxy")

    def version(self) -> str:
        return version_of(self.program(), "-v")

    def refusal(self, site: Site) -> str | None:
        return "its TCP mode stands for it" if site.tcp else None

    def command(self, site: Site, place: Place) -> list[str]:
        # HAProxy writes no files itself; stdout is a file of the harness.
        target = "    log stdout format raw local0" if site.access_log else ""
        each = "    log global\n    option httplog" if site.access_log else ""
        text = HEAD.format(log=target, workers=site.workers) + HTTP.format(
            log=each,
            listen=place.listen,
            origin=place.origin,
            choice=choice(site, place.folder),
            # Without TLS it tells HTTP/2 by its preface.
            door=f" ssl crt {place.certificate} alpn h2,http/1.1" if site.tls else "",
            behind=" proto h2" if site.grpc else "",
        )
        return self.started_with(text, place)

    def started_with(self, text: str, place: Place) -> list[str]:
        """Writes the configuration and gives the command line."""
        path = place.folder / "haproxy.cfg"
        path.write_text(text)
        return [str(self.program()), "-db", "-q", "-f", str(path)]


class HaproxyTcp(HaproxyHttp):
    """The floor: a connection there for each connection here, and no HTTP at all."""

    name = "haproxy-tcp"
    title = "HAProxy (TCP)"

    def refusal(self, site: Site) -> str | None:
        if site.tls or site.http2:
            return "HTTP mode is what is compared"
        if site.hosts or site.routes or site.access_log:
            return "TCP mode knows no requests"
        return None

    def command(self, site: Site, place: Place) -> list[str]:
        text = HEAD.format(log="", workers=site.workers) + TCP.format(
            listen=place.listen, origin=place.origin
        )
        return self.started_with(text, place)
