"""A warning about hash policies that choose no host.

A real Envoy says nothing: it hashes each request, and has another policy pick the host.
"""

from collections.abc import Iterator

from dragoman.config.check_context import Context
from dragoman.config.messages import Message, type_name
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

_HASHING = frozenset(
    f"envoy.extensions.load_balancing_policies.{name}"
    for name in ("maglev.v3.Maglev", "ring_hash.v3.RingHash")
)
_MESSAGES = frozenset({
    "envoy.config.route.v3.RouteAction",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
})  # fmt: skip


def is_by_hash(cluster: Message) -> bool:
    """Whether a hash chooses the cluster's hosts."""
    for policy in cluster.load_balancing_policy.policies:
        return type_name(policy.typed_extension_config.typed_config.type_url) in _HASHING
    by_name = cluster.DESCRIPTOR.enum_types_by_name["LbPolicy"].values_by_name
    return cluster.lb_policy in (by_name["RING_HASH"].number, by_name["MAGLEV"].number)


def warnings(step: Step, context: Context) -> Iterator[Fault]:
    """A hash policy, where all clusters that are named choose their hosts otherwise."""
    if step.type_name not in _MESSAGES or not step.message.hash_policy:
        return
    names = _clusters(step.message)
    if names and all(name in context.clusters - context.hashing for name in names):
        whose = f"cluster '{names[0]}' doesn't choose" if len(names) == 1 else "no cluster chooses"
        words = f"this has no effect: {whose} its hosts by hash"
        yield Fault("hash_policy", "DG0515", words, "set its lb_policy to MAGLEV or RING_HASH")


def _clusters(message: Message) -> list[str]:
    kind = message.WhichOneof("cluster_specifier")
    if kind == "cluster":
        return [message.cluster]
    if kind == "weighted_clusters":
        return [entry.name for entry in message.weighted_clusters.clusters]
    return []
