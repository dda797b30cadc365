"""Checks across messages, as Envoy makes them when it loads a configuration: which check belongs to
which message type. A check looks at one step of the walk and gives faults below it.

What the engine's compilers check anyway (regular expressions, format strings) isn't repeated here.
"""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from dragoman.config import check_clusters, check_listeners, check_routes
from dragoman.config.check_context import Context
from dragoman.config.messages import Message, type_name
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

Check = Callable[[Step, Context], Iterator[Fault]]


def faults(step: Step, context: Context) -> Iterator[Fault]:
    """What is wrong with the step's message in the configuration around it."""
    check = _CHECKS.get(step.type_name)
    if check is not None:
        yield from check(step, context)


def _bootstrap(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    if message.HasField("stats_flush_interval") and message.WhichOneof("stats_flush"):
        words = "only one of 'stats_flush_interval' and 'stats_flush_on_admin' may be set"
        yield Fault("stats_flush_on_admin", "DG0408", words)
    yield from check_clusters.unique_names(message.static_resources.clusters)
    yield from check_listeners.unique(message.static_resources.listeners)


def _admin(step: Step, context: Context) -> Iterator[Fault]:
    yield from check_listeners.bindable(step.message, "address")
    if step.message.access_log_path:
        yield from _writable("access_log_path", step.message.access_log_path)


def _data_source(step: Step, context: Context) -> Iterator[Fault]:
    kind = step.message.WhichOneof("specifier")
    if kind == "filename" and not Path(step.message.filename).exists():
        yield Fault("filename", "DG0413", f"the file {step.message.filename} doesn't exist")
    elif kind == "environment_variable" and step.message.environment_variable not in os.environ:
        name = step.message.environment_variable
        yield Fault(kind, "DG0413", f"the environment variable {name} isn't set")


def _sds_secret(step: Step, context: Context) -> Iterator[Fault]:
    source = step.message.sds_config
    kind = source.WhichOneof("config_source_specifier")
    path = source.path if kind == "path" else source.path_config_source.path
    if path and not Path(path).exists():
        field = "path" if kind == "path" else "path_config_source.path"
        yield Fault(f"sds_config.{field}", "DG0413", f"the file {path} doesn't exist")


def _read_once(step: Step, context: Context) -> Iterator[Fault]:
    if step.message.HasField("watched_directory") and not context.is_fetched:
        words = "the files of a context that doesn't fetch its secrets are read once"
        help = "put them into a secret, and fetch that by sds_config.path_config_source"
        yield Fault("watched_directory", "DG0302", words, help)


def _file_log(step: Step, context: Context) -> Iterator[Fault]:
    yield from _writable("path", step.message.path)


def _writable(field: str, path: str) -> Iterator[Fault]:
    if not Path(path).parent.is_dir():
        yield Fault(field, "DG0413", f"the folder of {path} doesn't exist")


def _typed(step: Step, context: Context) -> Iterator[Fault]:
    """An extension's place that must say which extension it is."""
    if not step.message.WhichOneof("config_type"):
        text = f"nothing says which extension '{step.message.name}' is"
        yield Fault("", "DG0107", text, 'add typed_config with an "@type"')
    elif step.message.WhichOneof("config_type") == "typed_config":
        yield from _some_type(step.message)


def _extension(step: Step, context: Context) -> Iterator[Fault]:
    if step.message.HasField("typed_config"):
        yield from _some_type(step.message)


def _some_type(message: Message) -> Iterator[Fault]:
    if not type_name(message.typed_config.type_url):
        yield Fault("typed_config", "DG0107", 'a typed configuration needs an "@type"')


def _string_matcher(step: Step, context: Context) -> Iterator[Fault]:
    if step.message.ignore_case and step.message.WhichOneof("match_pattern") == "safe_regex":
        words = "'ignore_case' has no effect on 'safe_regex'"
        yield Fault("ignore_case", "DG0408", words, "write (?i) at the pattern's start")


def _header_option(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    if message.HasField("append") and message.append_action:
        words = "only one of 'append' and 'append_action' may be set"
        yield Fault("append", "DG0408", words, "append_action is the newer one")
    if message.HasField("header") and check_routes.is_forbidden(message.header.key):
        words = f"'{message.header.key}' can't be changed: it is host or starts with ':'"
        yield Fault("header.key", "DG0414", words)


def _cidr_range(step: Step, context: Context) -> Iterator[Fault]:
    prefix, bits = step.message.address_prefix, step.message.prefix_len.value
    for family, most in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
        try:
            socket.inet_pton(family, prefix)
        except (OSError, ValueError):
            continue
        if bits > most:
            yield Fault("prefix_len", "DG0410", f"{prefix} has only {most} bits")
        return
    if prefix:
        yield Fault("address_prefix", "DG0410", f"'{prefix}' is no IP address")


_HCM = "envoy.extensions.filters.network.http_connection_manager.v3"
_TLS = "envoy.extensions.transport_sockets.tls.v3"
_CHECKS: dict[str, Check] = {
    "envoy.config.bootstrap.v3.Bootstrap": _bootstrap,
    "envoy.config.bootstrap.v3.Admin": _admin,
    "envoy.config.listener.v3.Listener": check_listeners.listener,
    "envoy.config.listener.v3.FilterChain": check_listeners.filter_chain,
    "envoy.config.listener.v3.Filter": _typed,
    f"{_HCM}.HttpConnectionManager": check_listeners.connection_manager,
    f"{_HCM}.HttpFilter": _typed,
    "envoy.config.accesslog.v3.AccessLog": _typed,
    "envoy.config.core.v3.TypedExtensionConfig": _extension,
    "envoy.extensions.access_loggers.file.v3.FileAccessLog": _file_log,
    "envoy.config.route.v3.RouteConfiguration": check_routes.route_configuration,
    "envoy.config.route.v3.VirtualHost": check_routes.removed_headers,
    "envoy.config.route.v3.Route": check_routes.removed_headers,
    "envoy.config.route.v3.WeightedCluster.ClusterWeight": check_routes.removed_headers,
    "envoy.config.route.v3.WeightedCluster": check_routes.weighted_cluster,
    "envoy.config.route.v3.RouteAction": check_routes.route_action,
    "envoy.config.core.v3.HeaderValueOption": _header_option,
    f"{_TLS}.SdsSecretConfig": _sds_secret,
    f"{_TLS}.TlsCertificate": _read_once,
    f"{_TLS}.CertificateValidationContext": _read_once,
    "envoy.config.core.v3.DataSource": _data_source,
    "envoy.config.core.v3.CidrRange": _cidr_range,
    "envoy.type.matcher.v3.StringMatcher": _string_matcher,
    "envoy.config.cluster.v3.Cluster": check_clusters.cluster,
}
