"""Run in a network namespace of its own: connections to an origin come to a proxy instead.

`python -m tests.e2e.redirected FOLDER` prints what a client of that origin was answered, and what
the proxy logged, as JSON. Needs `ip` and `nft`, and the right to use them in that namespace.
"""

import json
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.e2e.running import DRAGOMAN, Origin, Running

#: the client; others' connections aren't redirected, so the proxy reaches the origin
CLIENT = "10.9.0.1"
ORIGIN = "10.9.0.2"
PORT = 8099
#: the exit code where the kernel has no such packet filter
NOT_HERE = 77


def _chain(prefix: str) -> str:
    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    typed = f'{{"@type": {kind}, stat_prefix: {prefix}, cluster: there}}'
    return f"[{{filters: [{{name: tcp, typed_config: {typed}}}]}}]"


CONFIG = f"""
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: all
    address: {{socket_address: {{address: 127.0.0.1, port_value: 15001}}}}
    use_original_dst: true
    filter_chains: {_chain("all")}
  - name: one
    address: {{socket_address: {{address: {ORIGIN}, port_value: {PORT}}}}}
    bind_to_port: false
    filter_chains: {_chain("one")}
  clusters:
  - {{name: there, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}}
"""
RULES = f"""
table ip nat {{
  chain output {{
    type nat hook output priority -100
    ip saddr {CLIENT} ip daddr {ORIGIN} tcp dport {PORT} redirect to :15001
    ip saddr {CLIENT} ip daddr {ORIGIN} tcp dport {PORT + 1} redirect to :15001
  }}
}}
"""


def _set_up() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (CLIENT, ORIGIN):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    loaded = subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=False)
    if loaded.returncode != 0:
        sys.exit(NOT_HERE)


def main(folder: Path) -> None:
    """Asks both of the origin's ports: a listener of its own has the first one."""
    _set_up()
    servers = [ThreadingHTTPServer((ORIGIN, port), Origin) for port in (PORT, PORT + 1)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        sys.stdout.write(json.dumps(_ask(folder)))
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _ask(folder: Path) -> dict[str, object]:
    config = folder / "redirected.yaml"
    config.write_text(CONFIG)
    proxy = Running(DRAGOMAN, config, folder)
    try:
        transport = httpx.HTTPTransport(local_address=CLIENT)
        with httpx.Client(transport=transport, timeout=10) as client:
            answers = [client.get(f"http://{ORIGIN}:{port}/").text for port in (PORT, PORT + 1)]
        return {"answers": answers, "stats": proxy.stats("^tcp.*downstream_cx_total")}
    finally:
        proxy.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
