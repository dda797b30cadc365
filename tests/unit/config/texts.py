"""Configurations for the tests, put together from parts in YAML's one-line style."""

_TYPE = "type.googleapis.com/envoy"
ROUTER = (
    '{name: envoy.filters.http.router, typed_config: {"@type": '
    f"{_TYPE}.extensions.filters.http.router.v3.Router}}}}"
)
BUFFER = (
    '{name: buffer, typed_config: {"@type": '
    f"{_TYPE}.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 5}}}}"
)
ADDRESS = "{socket_address: {address: 127.0.0.1, port_value: 18080}}"
OTHER_ADDRESS = "{socket_address: {address: 127.0.0.1, port_value: 18081}}"
ENDPOINT = "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}"


def assignment(endpoint: str = ENDPOINT, more: str = "") -> str:
    """A cluster's `load_assignment` with one locality."""
    return (
        f"load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: [{endpoint}] {more}}}]}}"
    )


def cluster(fields: str = f"type: STATIC, {assignment()}", name: str = "c") -> str:
    return f"{{name: {name}, {fields}}}"


def static(more: str = "", endpoint: str = ENDPOINT) -> str:
    """A STATIC cluster with further fields."""
    return cluster(f"type: STATIC, {assignment(endpoint)}{', ' if more else ''}{more}")


def virtual_host(
    routes: str = "[{match: {prefix: /}, route: {cluster: c}}]",
    more: str = "",
    domains: str = '["*"]',
    name: str = "v",
) -> str:
    return f"{{name: {name}, domains: {domains}, routes: {routes} {more}}}"


def routes(*hosts: str, more: str = "") -> str:
    """A RouteConfiguration."""
    return f"{{virtual_hosts: [{', '.join(hosts or (virtual_host(),))}] {more}}}"


def manager(route_config: str = "", filters: str = f"[{ROUTER}]", more: str = "") -> str:
    """A network filter: the HTTP connection manager."""
    return (
        '{name: hcm, typed_config: {"@type": '
        f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
        f"stat_prefix: s, route_config: {route_config or routes()}, http_filters: {filters}"
        f"{', ' if more else ''}{more}}}}}"
    )


def listener(
    filters: str = "",
    name: str = "name: l, ",
    address: str = ADDRESS,
    more: str = "",
    chains: str = "",
) -> str:
    chains = chains or f"[{{filters: [{filters or manager()}]}}]"
    return f"{{{name}address: {address}, filter_chains: {chains} {more}}}"


def bootstrap(*listeners: str, clusters: str = "", more: str = "") -> str:
    """A whole configuration: by default one listener and the cluster `c`."""
    return (
        f"static_resources: {{listeners: [{', '.join(listeners or (listener(),))}], "
        f"clusters: [{clusters or cluster()}]}}\n{more}"
    )


def with_manager(more: str) -> str:
    """A configuration whose connection manager has further fields."""
    return bootstrap(listener(manager(more=more)))


def with_cluster(fields: str) -> str:
    """A configuration whose only cluster, `c`, has these fields."""
    return bootstrap(clusters=cluster(fields))


def with_route(action: str, match: str = "{prefix: /}", more: str = "") -> str:
    """A configuration with one route."""
    route = f"[{{match: {match}, {action} {more}}}]"
    return bootstrap(listener(manager(routes(virtual_host(route)))))


def with_action(more: str) -> str:
    """A configuration whose only route's action has further fields."""
    return with_route(f"route: {{cluster: c, {more}}}")


def with_domains(*domains: str) -> str:
    """A configuration with a virtual host for each list of domains."""
    hosts = [virtual_host(domains=each, name=f"v{i}") for i, each in enumerate(domains)]
    return bootstrap(listener(manager(routes(*hosts))))
