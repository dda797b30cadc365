"""Checks of clusters and their endpoints."""

from collections.abc import Iterable, Iterator

from dragoman.config.check_context import Context
from dragoman.config.check_listeners import is_ip
from dragoman.config.messages import Message, type_name, types
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step, unpack

_STATIC, _STRICT_DNS, _LOGICAL_DNS = 0, 1, 2
_LB_POLICY_CONFIG = 7
_DNS = "envoy.extensions.clusters.dns.v3.DnsCluster"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def unique_names(clusters: Iterable[Message]) -> Iterator[Fault]:
    """No two clusters with one name."""
    names: dict[str, int] = {}
    for index, cluster in enumerate(clusters):
        if cluster.name and cluster.name in names:
            words = f"cluster '{cluster.name}' exists already"
            help = f"clusters[{names[cluster.name]}] has the name"
            yield Fault(f"static_resources.clusters[{index}].name", "DG0401", words, help)
        names.setdefault(cluster.name, index)


def cluster(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    kind = _kind(message)
    if kind is not None:
        yield from _endpoints(message, kind)
    yield from _policy(message)
    for key in message.typed_extension_protocol_options:
        packed = message.typed_extension_protocol_options[key]
        if type_name(packed.type_url) == _HTTP_OPTIONS and key != _HTTP_OPTIONS:
            words = f"'{key}' names no protocol options"
            path = f'typed_extension_protocol_options["{key}"]'
            yield Fault(path, "DG0303", words, f"the key must be {_HTTP_OPTIONS}")


def _kind(message: Message) -> int | None:
    """How the cluster finds its hosts; None for ways that are refused anyway."""
    if message.WhichOneof("cluster_discovery_type") == "cluster_type":
        dns = unpack(types(), message.cluster_type.typed_config)
        if dns is None or dns.DESCRIPTOR.full_name != _DNS:
            return None
        return _LOGICAL_DNS if dns.all_addresses_in_single_endpoint else _STRICT_DNS
    return message.type if message.type in (_STATIC, _STRICT_DNS, _LOGICAL_DNS) else None


def _endpoints(message: Message, kind: int) -> Iterator[Fault]:
    count = 0
    for index, locality in enumerate(message.load_assignment.endpoints):
        for number, entry in enumerate(locality.lb_endpoints):
            count += 1
            path = f"load_assignment.endpoints[{index}].lb_endpoints[{number}]"
            address = entry.endpoint.address
            if not entry.HasField("endpoint") or address.WhichOneof("address") is None:
                yield Fault(path, "DG0201", "an endpoint needs an address")
            elif kind == _STATIC and address.WhichOneof("address") == "socket_address":
                yield from _numeric(address.socket_address.address, path)
    if kind == _LOGICAL_DNS and (count != 1 or len(message.load_assignment.endpoints) != 1):
        words = f"a cluster of logical DNS has exactly one endpoint, found {count}"
        yield Fault("load_assignment", "DG0411", words)


def _numeric(address: str, path: str) -> Iterator[Fault]:
    if address and not is_ip(address):
        words = f"'{address}' is no IP address, which a STATIC cluster's endpoints must have"
        where = f"{path}.endpoint.address.socket_address.address"
        yield Fault(where, "DG0410", words, "use type: STRICT_DNS or LOGICAL_DNS for names")


def _policy(message: Message) -> Iterator[Fault]:
    if message.HasField("load_balancing_policy"):
        if not message.load_balancing_policy.policies:
            words = "at least one policy is required"
            yield Fault("load_balancing_policy", "DG0201", words)
    elif message.lb_policy == _LB_POLICY_CONFIG:
        words = "LOAD_BALANCING_POLICY_CONFIG needs 'load_balancing_policy'"
        yield Fault("lb_policy", "DG0415", words)
    for index, policy in enumerate(message.load_balancing_policy.policies):
        config = policy.typed_extension_config
        if policy.HasField("typed_extension_config") and not config.HasField("typed_config"):
            path = f"load_balancing_policy.policies[{index}].typed_extension_config"
            words = f"nothing says which policy '{config.name}' is"
            yield Fault(path, "DG0107", words, 'add typed_config with an "@type"')
