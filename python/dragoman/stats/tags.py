"""Which parts of a metric's name are labels: Envoy's default tags, as one table.

A row is (label, first part of the name or "" for any, expression). In the expression `value` is
the label's value and `cut` what leaves the name with it. The rows' order is the order in which
the labels are printed, as a real Envoy prints them. Adding a tag means adding a row.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_PART = r"[^.]+"
#: An IPv4 or IPv6 address with its port, or a listener's stat_prefix. The admin's own listener
#: has no address label.
_ADDRESS = r"(?!admin\.)(?:[\d.]+_\d+|\[[\da-fA-F_.]+\]_\d+|[^.]+)"


class Tagged(NamedTuple):
    """A name without its tag values, and the tags: (label, value) in printing order."""

    name: str
    tags: tuple[tuple[str, str], ...]


class _Rule(NamedTuple):
    label: str
    root: str
    expression: re.Pattern[str]


def _rule(label: str, root: str, expression: str) -> _Rule:
    return _Rule(label, root, re.compile(expression))


def _part(label: str, prefix: str) -> _Rule:
    """A row whose value is the one part after `prefix` (itself an expression)."""
    expression = rf"^{prefix}\.(?P<cut>(?P<value>{_PART})\.)"
    return _rule(label, prefix.partition(r"\.")[0], expression)


#: Printed before the fixed tags (`--stats-tag`).
_LEADING = (
    _rule("envoy_response_code", "", r"_rq(?P<cut>_(?P<value>\d{3}))$"),
    _rule("envoy_response_code_class", "", r"_rq_(?P<cut>(?P<value>\d))xx$"),
    _rule(
        "envoy_worker_id",
        "listener",
        rf"^listener\.{_ADDRESS}\.worker(?P<cut>_(?P<value>\d+))\.",
    ),
    _rule("envoy_worker_id", "server", r"^server\.worker(?P<cut>_(?P<value>\d+))\."),
    _rule(
        "envoy_worker_id",
        "listener_manager",
        r"^listener_manager\.worker(?P<cut>_(?P<value>\d+))\.",
    ),
    _rule(
        "envoy_worker_id",
        "thread_local_cluster_manager",
        r"^thread_local_cluster_manager\.worker(?P<cut>_(?P<value>\d+))\.",
    ),
    _rule("envoy_rbac_prefix", "", rf"^(?P<cut>(?P<value>{_PART})\.)rbac\."),
    _rule(
        "envoy_local_http_ratelimit_prefix",
        "",
        rf"^(?P<cut>(?P<value>{_PART})\.)http_local_rate_limit\.",
    ),
)

#: Printed after the fixed tags.
_TRAILING = (
    _rule(
        "envoy_rds_route_config",
        "http",
        rf"^http\.{_PART}\.rds\.(?P<cut>(?P<value>.+)\.){_PART}$",
    ),
    _rule(
        "envoy_scoped_rds_config",
        "http",
        rf"^http\.{_PART}\.scoped_rds\.(?P<cut>(?P<value>.+)\.){_PART}$",
    ),
    _rule("envoy_ssl_cipher", "listener", r"^listener\..+\.ssl\.ciphers(?P<cut>\.(?P<value>.+))$"),
    _rule("cipher_suite", "cluster", r"^cluster\..+\.ssl\.ciphers(?P<cut>\.(?P<value>.+))$"),
    _rule("envoy_ssl_curve", "", r"\.ssl\.curves(?P<cut>\.(?P<value>.+))$"),
    _rule("envoy_ssl_sigalg", "", r"\.ssl\.sigalgs(?P<cut>\.(?P<value>.+))$"),
    _rule("envoy_ssl_version", "", r"\.ssl\.versions(?P<cut>\.(?P<value>.+))$"),
    _rule("envoy_tls_certificate", "", rf"\.ssl\.certificate\.(?P<cut>(?P<value>.+)\.){_PART}$"),
    _part("envoy_virtual_cluster", rf"vhost\.{_PART}\.vcluster"),
    _part("envoy_virtual_host", "vhost"),
    _part("envoy_route", rf"vhost\.{_PART}\.route"),
    _rule(
        "envoy_fault_downstream_cluster",
        "http",
        rf"^http\.{_PART}\.fault\.(?P<cut>(?P<value>{_PART})\.)",
    ),
    _part("envoy_http_user_agent", rf"http\.{_PART}\.user_agent"),
    _rule(
        "envoy_rbac_policy_name",
        "",
        rf"\.rbac\.(?:{_PART}\.)?policy\.(?P<cut>(?P<value>.+)\.){_PART}$",
    ),
    _part("envoy_rbac_http_prefix", rf"http\.{_PART}\.rbac(?!\.policy\.)"),
    _part("envoy_ext_authz_prefix", rf"http\.{_PART}\.ext_authz"),
    _rule(
        "envoy_grpc_bridge_method",
        "cluster",
        rf"^cluster\.{_PART}\.grpc\.{_PART}\.(?P<cut>(?P<value>{_PART})\.)",
    ),
    _part("envoy_grpc_bridge_service", rf"cluster\.{_PART}\.grpc"),
    _part("envoy_cluster_name", "cluster"),
    _part("envoy_ext_authz_prefix", rf"cluster\.{_PART}\.ext_authz"),
    _rule(
        "envoy_endpoint_address",
        "cluster",
        rf"^cluster\.{_PART}\.endpoint\.(?P<cut>(?P<value>.+)\.){_PART}$",
    ),
    _part("envoy_http_conn_manager_prefix", "http"),
    _rule(
        "envoy_http_conn_manager_prefix",
        "listener",
        rf"^listener\.(?:admin|{_ADDRESS})\.http\.(?P<cut>(?P<value>{_PART})\.)",
    ),
    _rule(
        "envoy_listener_address",
        "listener",
        rf"^listener\.(?P<cut>(?P<value>{_ADDRESS})\.)",
    ),
    _part("envoy_tcp_prefix", "tcp"),
    _part("envoy_udp_prefix", "udp"),
    _part("envoy_ratelimit_prefix", "ratelimit"),
    _part("envoy_redis_prefix", "redis"),
    _part("envoy_mongo_prefix", "mongo"),
    _part("envoy_thrift_prefix", "thrift"),
    _part("envoy_clientssl_prefix", r"auth\.clientssl"),
    _part("envoy_connection_limit_prefix", "connection_limit"),
    _part("envoy_local_network_ratelimit_prefix", "local_rate_limit"),
    _part("envoy_local_listener_ratelimit_prefix", "listener_local_ratelimit"),
    _part("envoy_dns_filter_prefix", "dns_filter"),
    _part("envoy_google_grpc_client_prefix", "grpc"),
)


@lru_cache(maxsize=65536)
def extract(name: str, fixed: tuple[tuple[str, str], ...] = ()) -> Tagged:
    """Splits `name` into what is measured and its labels.

    `fixed` tags (from `--stats-tag`) are put on every metric, between the two groups of rows.
    """
    root = name.partition(".")[0]
    tags: list[tuple[str, str]] = []
    cuts: list[tuple[int, int]] = []
    for rules in (_LEADING, _TRAILING):
        for rule in rules:
            if rule.root and rule.root != root:
                continue
            found = rule.expression.search(name)
            if found is not None:
                tags.append((rule.label, _value(rule.label, found["value"])))
                cuts.append(found.span("cut"))
        if rules is _LEADING:
            tags.extend(fixed)
    return Tagged(_without(name, cuts), tuple(tags))


def _value(label: str, text: str) -> str:
    """The label's value. An endpoint's address has colons, which names can't hold."""
    if label != "envoy_endpoint_address":
        return text
    host, _, port = text.rpartition("_")
    return f"{host.replace('_', ':')}:{port}"


def _without(name: str, cuts: list[tuple[int, int]]) -> str:
    """`name` without the ranges of `cuts`; ranges may touch or overlap."""
    kept = []
    position = 0
    for start, end in sorted(cuts):
        kept.append(name[position:start])
        position = max(position, end)
    return "".join(kept) + name[position:]
