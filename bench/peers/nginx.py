"""nginx: one worker, a pool of upstream connections, no files for bodies."""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer import Peer, found, version_of
from bench.site import Place, Site

CONFIG = """\
daemon off;
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
{user}
events {{ worker_connections 16000; }}
http {{
    access_log {log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_request_buffering off;
    proxy_buffer_size 16k;
    proxy_buffers 8 32k;
    proxy_busy_buffers_size 64k;
    proxy_max_temp_file_size 0;
    http2_max_requests 1000000000;
    keepalive_time 24h;
{tls}
{servers}
}}
"""


def servers(site: Site, listen: int) -> str:
    """The server blocks; what no block names is a 404."""
    tls, http2 = " ssl" if site.tls else "", " http2" if site.http2 else ""
    bind = f"listen 127.0.0.1:{listen} backlog=4096{tls}{http2};"
    passed = "{ grpc_pass grpc://origin; }" if site.grpc else "{ proxy_pass http://origin; }"
    if site.hosts:
        lines = [f"    server {{ {bind} server_name none.invalid; return 404; }}"]
        lines += [
            f"    server {{ listen 127.0.0.1:{listen}; server_name {name}; location / {passed} }}"
            for name in site.host_names()
        ]
        return "\n".join(lines)
    prefixes = site.prefixes() or ["/"]
    locations = "\n".join(f"        location {prefix} {passed}" for prefix in prefixes)
    return f"    server {{\n        {bind}\n{locations}\n    }}"


def tls_lines(site: Site, place: Place) -> str:
    """The certificate; TLS as far as a default goes."""
    if not site.tls:
        return ""
    return f"    ssl_certificate {place.certificate};\n    ssl_certificate_key {place.certificate};"


class Nginx(Peer):
    """A master and one worker, as nginx is run."""

    name = "nginx"
    title = "nginx"

    def program(self) -> Path | None:
        return found("nginx")

    def version(self) -> str:
        return version_of(self.program(), "-v")

    def refusal(self, site: Site) -> str | None:
        return "its stream module isn't configured" if site.tcp else None

    def command(self, site: Site, place: Place) -> list[str]:
        path = place.folder / "nginx.conf"
        log = f"{place.access_log} combined buffer=64k flush=1s" if site.access_log else "off"
        path.write_text(
            CONFIG.format(
                folder=place.folder,
                workers=site.workers,
                log=log,
                origin=place.origin,
                tls=tls_lines(site, place),
                servers=servers(site, place.listen),
                # A worker of another user could not write into the harness's folder.
                user="user root;" if place.folder.stat().st_uid == 0 else "",
            )
        )
        return [str(self.program()), "-c", str(path), "-p", str(place.folder)]
