"""`dragoman proxy`: one port forwarded to one or more servers, without a configuration file.

It writes the Envoy configuration that it stands for (`--print-config` shows it) and runs that.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from dragoman.cli.parser import Flag, Parser, unsigned
from dragoman.server.options import Options

_ADDRESS = re.compile(r"(?:\[(?P<v6>[\da-fA-F:.]+)\]|(?P<host>[\w.-]*)):(?P<port>\d{1,5})")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


class Address(NamedTuple):
    """A host (name, IPv4 or bare IPv6 address; "" for any) and a port."""

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the host has to be resolved."""
        return ":" not in self.host and _IPV4.fullmatch(self.host) is None


def address(text: str) -> Address:
    """`:8080`, `127.0.0.1:8080`, `name:8080`, `[::1]:8080`. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise ValueError(f"'{text}' is not an address such as 127.0.0.1:8080")
    return Address(found["v6"] or found["host"] or "", int(found["port"]))


def target(text: str) -> Address:
    """An address that can be connected to. Raises ValueError."""
    found = address(text)
    if not found.host or not found.port:
        raise ValueError(f"'{text}' needs both a host and a port")
    return found


PARSER = Parser(
    "dragoman proxy",
    "Forwards HTTP from a port to servers.",
    (
        Flag(
            ("--from",),
            "where to listen; without a host on all IPv4 addresses",
            address,
            "[HOST]:PORT",
        ),
        Flag(
            ("--to",),
            "where to forward to; repeated: in turn",
            target,
            "HOST:PORT",
            many=True,
        ),
        Flag(
            ("--admin",),
            "where to serve the admin page (without a host on 127.0.0.1; default: nowhere)",
            address,
            "[HOST]:PORT",
        ),
        Flag(("--concurrency",), "workers", unsigned, "N"),
        Flag(("--print-config",), "print the configuration and end"),
    ),
)


def main(argv: Sequence[str]) -> int:
    """Runs the proxy, or prints its configuration. Returns the exit code."""
    values = PARSER.read(argv)
    if values["from"] is None or not values["to"]:
        PARSER.error("--from and --to are needed")
    yaml = configuration(values["from"], values["to"], values["admin"])
    if values["print_config"]:
        print(yaml, end="")
        return 0
    from dragoman.server.concurrency import default_concurrency
    from dragoman.server.run import serve

    workers = max(1, values["concurrency"] or default_concurrency())
    return serve(Options(config_yaml=yaml, concurrency=workers))


def configuration(source: Address, targets: Sequence[Address], admin: Address | None) -> str:
    """The Envoy configuration (YAML) that forwards `source` to `targets`."""
    # "localhost" is ::1 first to Envoy; what is being tried out often listens on 127.0.0.1 only.
    by_name = "STRICT_DNS\n    dns_lookup_family: V4_PREFERRED"
    kind = by_name if any(t.is_name for t in targets) else "STATIC"
    listen = _socket(source._replace(host=source.host or "0.0.0.0"))
    page = f"admin:\n  address: {_socket(_local(admin))}\n" if admin is not None else ""
    return page + _TEMPLATE.format(
        listen=listen,
        kind=kind,
        endpoints="\n".join(
            f"        - endpoint: {{ address: {_socket(target)} }}" for target in targets
        ),
    )


def _local(admin: Address) -> Address:
    """The admin page is for this machine unless a host says otherwise."""
    return admin._replace(host=admin.host or "127.0.0.1")


def _socket(at: Address) -> str:
    return f'{{ socket_address: {{ address: "{at.host}", port_value: {at.port} }} }}'


_TYPE = "type.googleapis.com/envoy.extensions.filters"
_TEMPLATE = f"""\
static_resources:
  listeners:
  - name: proxy
    address: {{listen}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {_TYPE}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: proxy
          route_config:
            name: proxy
            virtual_hosts:
            - name: proxy
              domains: ["*"]
              routes:
              - match: {{{{ prefix: "/" }}}}
                route: {{{{ cluster: servers }}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {_TYPE}.http.router.v3.Router
  clusters:
  - name: servers
    type: {{kind}}
    load_assignment:
      cluster_name: servers
      endpoints:
      - lb_endpoints:
{{endpoints}}
"""
