"""Checks of route configurations: domains, clusters, weights, rewrites, bodies, headers."""

import os
from collections.abc import Iterator
from pathlib import Path

from dragoman.config.check_context import Context
from dragoman.config.diagnostics import did_you_mean
from dragoman.config.messages import Message
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

_DEFAULT_BODY_LIMIT = 4096
_REWRITES = ("prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite")
_REMOVED = ("request_headers_to_remove", "response_headers_to_remove")


def route_configuration(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    yield from removed_headers(step, context)
    yield from _unique_domains(message)
    validate = context.validate_clusters
    if message.HasField("validate_clusters"):
        validate = message.validate_clusters.value
    limit = _DEFAULT_BODY_LIMIT
    if message.HasField("max_direct_response_body_size_bytes"):
        limit = message.max_direct_response_body_size_bytes.value
    for host_index, host in enumerate(message.virtual_hosts):
        for index, route in enumerate(host.routes):
            path = f"virtual_hosts[{host_index}].routes[{index}]"
            kind = route.WhichOneof("action")
            if kind == "route" and validate:
                yield from _known_clusters(route.route, f"{path}.route", context)
            elif kind == "direct_response":
                yield from _body(route.direct_response, f"{path}.direct_response", limit)


def route_action(step: Step, context: Context) -> Iterator[Fault]:
    names = [name for name in _REWRITES if name in step.message.DESCRIPTOR.fields_by_name]
    used = {field.name for field, _ in step.set_fields}
    given = [name for name in names if name in used]
    if len(given) > 1:
        words = f"only one of '{given[0]}' and '{given[1]}' may be set"
        yield Fault(given[1], "DG0408", words)


def weighted_cluster(step: Step, context: Context) -> Iterator[Fault]:
    total = 0
    complete = True
    for index, entry in enumerate(step.message.clusters):
        path = f"clusters[{index}]"
        if not entry.name and not entry.cluster_header:
            yield Fault(path, "DG0201", "one of 'name' and 'cluster_header' is required")
        elif entry.name and entry.cluster_header:
            words = "only one of 'name' and 'cluster_header' may be set"
            yield Fault(f"{path}.cluster_header", "DG0408", words)
        if not entry.HasField("weight"):
            complete = False
            yield Fault(path, "DG0201", "'weight' is required")
        total += entry.weight.value
    if complete and step.message.clusters and total == 0:
        yield Fault("clusters", "DG0409", "the weights must add up to more than 0")
    elif total > 2**32 - 1:
        yield Fault("clusters", "DG0409", f"the weights add up to more than {2**32 - 1}")


def removed_headers(step: Step, context: Context) -> Iterator[Fault]:
    for field in _REMOVED:
        for index, name in enumerate(getattr(step.message, field)):
            if is_forbidden(name):
                words = f"'{name}' can't be removed: it is host or starts with ':'"
                yield Fault(f"{field}[{index}]", "DG0414", words)


def is_forbidden(header: str) -> bool:
    """True for headers that Envoy lets no configuration change."""
    return header.startswith(":") or header.lower() == "host"


def _unique_domains(message: Message) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for host_index, host in enumerate(message.virtual_hosts):
        for index, domain in enumerate(host.domains):
            if domain.lower() in seen:
                owner = seen[domain.lower()]
                words = f"the domain '{domain}' belongs to virtual host '{owner}' already"
                path = f"virtual_hosts[{host_index}].domains[{index}]"
                yield Fault(path, "DG0405", words, "domains are compared in lower case")
            else:
                seen[domain.lower()] = host.name


def _known_clusters(action: Message, path: str, context: Context) -> Iterator[Fault]:
    named = []
    kind = action.WhichOneof("cluster_specifier")
    if kind == "cluster":
        named.append((f"{path}.cluster", action.cluster))
    elif kind == "weighted_clusters":
        for index, entry in enumerate(action.weighted_clusters.clusters):
            named.append((f"{path}.weighted_clusters.clusters[{index}].name", entry.name))
    for index, mirror in enumerate(action.request_mirror_policies):
        named.append((f"{path}.request_mirror_policies[{index}].cluster", mirror.cluster))
    for where, name in named:
        if name and name not in context.clusters:
            help = did_you_mean(name, context.clusters)
            yield Fault(where, "DG0404", f"there is no cluster '{name}'", help)


def _body(action: Message, path: str, limit: int) -> Iterator[Fault]:
    body = action.body
    kind = body.WhichOneof("specifier")
    if kind == "filename":
        try:
            size = Path(body.filename).stat().st_size
        except (OSError, ValueError):
            return  # said where the file is named
    elif kind == "environment_variable":
        size = len(os.environ.get(body.environment_variable, "").encode())
    else:
        size = len(body.inline_bytes or body.inline_string.encode())
    if size > limit:
        words = f"the body has {size} bytes, the limit is {limit}"
        help = "raise the route configuration's max_direct_response_body_size_bytes"
        yield Fault(f"{path}.body", "DG0412", words, help)
