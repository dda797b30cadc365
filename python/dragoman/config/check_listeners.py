"""Checks of listeners, their filter chains and the HTTP connection manager's own options."""

import socket
from collections.abc import Iterable, Iterator

from dragoman.config.check_context import Context
from dragoman.config.messages import Message, type_name
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

#: filters after which nothing may stand, and one of which must stand last
_TERMINAL_NETWORK = frozenset(
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "envoy.extensions.filters.network.echo.v3.Echo",
        "envoy.extensions.filters.network.direct_response.v3.Config",
    )
)
_TERMINAL_HTTP = frozenset(("envoy.extensions.filters.http.router.v3.Router",))
# A Unix socket's path with its last zero byte.
_LONGEST_PIPE = 107


def unique(listeners: Iterable[Message]) -> Iterator[Fault]:
    """No two listeners with one name or one address."""
    names: dict[str, int] = {}
    addresses: dict[str, str] = {}
    for index, listener in enumerate(listeners):
        path = f"static_resources.listeners[{index}]"
        if listener.name and listener.name in names:
            words = f"listener '{listener.name}' exists already"
            help = f"listeners[{names[listener.name]}] has the name; Envoy would replace it by this"
            yield Fault(f"{path}.name", "DG0402", words, help)
        names.setdefault(listener.name, index)
        address = _address(listener)
        if address in addresses:
            words = f"{address} is already the address of {addresses[address]}"
            yield Fault(f"{path}.address", "DG0403", words)
        elif address:
            addresses[address] = f"listener '{listener.name}'" if listener.name else "another one"


def listener(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    if message.HasField("api_listener") or message.WhichOneof("listener_specifier"):
        return
    if not message.HasField("address"):
        yield Fault("", "DG0201", "'address' is required")
    yield from bindable(message, "address")
    if not message.filter_chains and not message.HasField("default_filter_chain"):
        yield Fault("", "DG0407", "a listener needs at least one filter chain")
    seen: dict[bytes, int] = {}
    for index, chain in enumerate(message.filter_chains):
        match = chain.filter_chain_match.SerializeToString(deterministic=True)
        if match in seen:
            words = f"matches the same connections as filter_chains[{seen[match]}]"
            yield Fault(f"filter_chains[{index}]", "DG0407", words)
        seen.setdefault(match, index)


def filter_chain(step: Step, context: Context) -> Iterator[Fault]:
    if not step.message.filters:
        words = "a filter chain without filters closes every connection; not supported"
        yield Fault("", "DG0302", words)
    yield from _terminal(step.message.filters, "filters", _TERMINAL_NETWORK)


def connection_manager(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    if not message.http_filters:
        words = "without HTTP filters no request is ever answered"
        yield Fault("", "DG0406", words, "add envoy.filters.http.router")
    yield from _terminal(message.http_filters, "http_filters", _TERMINAL_HTTP)
    for index, upgrade in enumerate(message.upgrade_configs):
        yield from _terminal(upgrade.filters, f"upgrade_configs[{index}].filters", _TERMINAL_HTTP)
    if message.strip_matching_host_port and message.strip_any_host_port:
        words = "only one of 'strip_matching_host_port' and 'strip_any_host_port' may be set"
        yield Fault("strip_any_host_port", "DG0408", words)
    if message.use_remote_address.value and message.original_ip_detection_extensions:
        words = "'use_remote_address' excludes 'original_ip_detection_extensions'"
        yield Fault("original_ip_detection_extensions", "DG0408", words)


def bindable(message: Message, field: str) -> Iterator[Fault]:
    """The address in `field` must be one that can be listened on: an IP address or a pipe."""
    if not message.HasField(field):
        return
    address = getattr(message, field)
    kind = address.WhichOneof("address")
    if kind == "socket_address":
        text = address.socket_address.address
        if text and not is_ip(text):
            words = f"'{text}' is no IP address"
            yield Fault(f"{field}.socket_address.address", "DG0410", words)
    elif kind == "pipe" and len(address.pipe.path.encode()) > _LONGEST_PIPE:
        words = f"a pipe's path has at most {_LONGEST_PIPE} bytes"
        yield Fault(f"{field}.pipe.path", "DG0410", words)


def is_ip(text: str) -> bool:
    """True for an IPv4 address, or an IPv6 address with or without a scope."""
    for family, part in ((socket.AF_INET, text), (socket.AF_INET6, text.partition("%")[0])):
        try:
            socket.inet_pton(family, part)
        except (OSError, ValueError):
            continue
        return True
    return False


def _terminal(filters: Iterable[Message], field: str, terminal: frozenset[str]) -> Iterator[Fault]:
    """Terminal filters stand last."""
    entries = list(filters)
    for index, entry in enumerate(entries):
        path = f"{field}[{index}]"
        kind = type_name(entry.typed_config.type_url)
        if not kind:
            continue  # said elsewhere: nothing tells which extension it is
        ends = kind in terminal
        last = index == len(entries) - 1
        if ends and not last:
            words = f"'{entry.name}' ends the chain, so it must stand last"
            yield Fault(path, "DG0406", words)
        if ends and last and getattr(entry, "disabled", False):
            words = f"'{entry.name}' ends the chain, so it can't be disabled"
            yield Fault(f"{path}.disabled", "DG0406", words)
        if last and not ends:
            wanted = sorted(name.rpartition(".")[2] for name in terminal)
            words = f"'{entry.name}' doesn't end the chain: {' or '.join(wanted)} must stand last"
            yield Fault(path, "DG0406", words)


def _address(listener: Message) -> str:
    """Text that two listeners with one address have in common; "" where it doesn't matter."""
    address = listener.address
    kind = address.WhichOneof("address")
    if kind == "pipe":
        return str(address.pipe.path)
    if kind == "socket_address" and address.socket_address.port_value:
        where = address.socket_address
        protocol = "udp " if where.protocol else ""
        return f"{protocol}{where.address}:{where.port_value}"
    return ""
