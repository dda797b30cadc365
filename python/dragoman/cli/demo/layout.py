"""What the demo consists of: its origins, its routes, and the Envoy configuration of both.

Pure: knows nothing of processes, sockets or terminals.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dragoman.cli.proxy import Address


class Route(NamedTuple):
    """A route `/<name>` to a cluster of the same name.

    Attributes:
        origins: the names of the cluster's endpoints, in order.
        share: how many of ten requests take it.
    """

    name: str
    origins: tuple[str, ...]
    share: int


ORIGINS = ("steady", "slow", "failing")
ROUTES = (
    Route("steady", ("steady",), 3),
    Route("slow", ("slow",), 2),
    Route("failing", ("failing",), 2),
    Route("mixed", ("steady", "slow", "failing"), 3),
)

#: Ports of the origins in a configuration that is printed, not run.
EXAMPLE_PORTS = {"steady": 9001, "slow": 9002, "failing": 9003}


def turns(routes: Sequence[Route]) -> list[str]:
    """Names of routes, each as often as its share says, spread evenly."""
    at = [
        ((turn + 0.5) / route.share, place, route.name)
        for place, route in enumerate(routes)
        for turn in range(route.share)
    ]
    return [name for _, _, name in sorted(at)]


def configuration(ports: Mapping[str, int], listen_port: int, admin: Address) -> str:
    """The Envoy configuration (YAML) with the origins at `ports` on 127.0.0.1.

    Ports of 0 are chosen by the system.
    """
    return _TEMPLATE.format(
        admin=_socket(admin),
        listen=_socket(Address("127.0.0.1", listen_port)),
        routes="".join(_route(route.name) for route in ROUTES),
        clusters="".join(_cluster(route, ports) for route in ROUTES),
    )


def _socket(at: Address) -> str:
    return f'{{ socket_address: {{ address: "{at.host}", port_value: {at.port} }} }}'


def _route(name: str) -> str:
    return f"""\
              - name: {name}
                match: {{ prefix: "/{name}" }}
                route: {{ cluster: {name}, timeout: 5s }}
"""


def _cluster(route: Route, ports: Mapping[str, int]) -> str:
    endpoints = "".join(
        f"        - endpoint: {{ address: {_socket(Address('127.0.0.1', ports[origin]))} }}"
        f" # {origin}\n"
        for origin in route.origins
    )
    return f"""\
  - name: {route.name}
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: {route.name}
      endpoints:
      - lb_endpoints:
{endpoints}"""


_TYPE = "type.googleapis.com/envoy.extensions.filters"
_TEMPLATE = f"""\
admin:
  address: {{admin}}
stats_flush_interval: 1s
static_resources:
  listeners:
  - name: demo
    address: {{listen}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {_TYPE}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: demo
          route_config:
            name: demo
            virtual_hosts:
            - name: demo
              domains: ["*"]
              routes:
{{routes}}\
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {_TYPE}.http.router.v3.Router
  clusters:
{{clusters}}"""
