"""/config_dump: the running configuration as Envoy's admin messages, cut down on request.

Works on JSON bodies. What must never leave the process (keys, passwords) is blanked here, in the
one place that all dumps pass.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dragoman._core import Regex
from dragoman.admin.answer import Answer, RefusalError, json_answer
from dragoman.admin.face import Proxy, Stored
from dragoman.admin.pages.endpoint_dump import static_endpoint_configs
from dragoman.admin.query import Query

_ADMIN = "type.googleapis.com/envoy.admin.v3."
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


class _Kind(NamedTuple):
    """One `…ConfigDump` message: its repeated fields with the type of their elements."""

    message: str
    fields: dict[str, str]
    #: Fields that aren't repeated
    single: tuple[str, ...] = ()


_BOOTSTRAP = _Kind("BootstrapConfigDump", {}, ("bootstrap", "last_updated"))
_CLUSTERS = _Kind(
    "ClustersConfigDump",
    {
        "static_clusters": "StaticCluster",
        "dynamic_active_clusters": "DynamicCluster",
        "dynamic_warming_clusters": "DynamicCluster",
    },
    ("version_info",),
)
_ENDPOINTS = _Kind(
    "EndpointsConfigDump",
    {
        "static_endpoint_configs": "StaticEndpointConfig",
        "dynamic_endpoint_configs": "DynamicEndpointConfig",
    },
)
_LISTENERS = _Kind(
    "ListenersConfigDump",
    {"static_listeners": "StaticListener", "dynamic_listeners": "DynamicListener"},
    ("version_info",),
)
_SCOPED_ROUTES = _Kind(
    "ScopedRoutesConfigDump",
    {
        "inline_scoped_route_configs": "InlineScopedRouteConfigs",
        "dynamic_scoped_route_configs": "DynamicScopedRouteConfigs",
    },
)
_ROUTES = _Kind(
    "RoutesConfigDump",
    {"static_route_configs": "StaticRouteConfig", "dynamic_route_configs": "DynamicRouteConfig"},
)
_SECRETS = _Kind(
    "SecretsConfigDump",
    {
        "static_secrets": "StaticSecret",
        "dynamic_active_secrets": "DynamicSecret",
        "dynamic_warming_secrets": "DynamicSecret",
    },
)

_Dump = tuple[_Kind, dict[str, Any]]


def config_dump(proxy: Proxy, query: Query) -> Answer:
    """Everything, or what `resource`, `mask` and `name_regex` leave of it."""
    try:
        pattern = Regex(query.get("name_regex") or ".*")
    except ValueError as error:
        what = f"Error while parsing name_regex from {query.get('name_regex')}: {error}"
        raise _wrong(400, what) from None
    dumps = list(_dumps(proxy, pattern, with_endpoints="include_eds" in query))
    mask = [path.split(".") for path in (query.get("mask") or "").split(",") if path]
    resource = query.get("resource")
    if resource is not None:
        configs = _resource(dumps, resource, mask)
    elif mask:
        configs = _masked(dumps, mask)
    else:
        configs = [_message(kind, body) for kind, body in dumps]
    return json_answer({"configs": configs} if configs else {})


def _wrong(status: int, what: str) -> RefusalError:
    return RefusalError(status, what, "text/plain")


def _message(kind: _Kind, body: dict[str, Any]) -> dict[str, Any]:
    return {"@type": _ADMIN + kind.message, **body}


def _dumps(proxy: Proxy, pattern: Regex, *, with_endpoints: bool) -> Iterator[_Dump]:
    """The dumps in Envoy's order. The bootstrap has no name and is always there."""
    stored = proxy.bootstrap()
    body = redacted(stored.body)
    yield _BOOTSTRAP, {"bootstrap": body, "last_updated": stored.last_updated}
    yield _CLUSTERS, _split(_named(proxy, "cluster", pattern), "cluster", "clusters")
    if with_endpoints:
        clusters = [c for c in proxy.engine.clusters() if pattern.fullmatch(c.name)]
        yield _ENDPOINTS, {"static_endpoint_configs": static_endpoint_configs(clusters)}
    listeners = _named(proxy, "listener", pattern)
    yield _LISTENERS, _split(listeners, "listener", "listeners")
    yield _SCOPED_ROUTES, {}
    inline = [r for one in proxy.resources("listener") for r in _inline_routes(one)]
    inline = [route for route in inline if pattern.fullmatch(route.name)]
    routes = _named(proxy, "route", pattern)
    yield _ROUTES, _split([*inline, *routes], "route_config", "route_configs")
    yield _SECRETS, _split(_named(proxy, "secret", pattern), "secret", "secrets")


def _named(proxy: Proxy, kind: str, pattern: Regex) -> list[Stored]:
    return [one for one in proxy.resources(kind) if pattern.fullmatch(one.name)]


def _split(found: Sequence[Stored], field: str, plural: str) -> dict[str, Any]:
    """Static resources and those from xDS, under the field names of their dump."""
    static, dynamic = [], []
    for one in found:
        entry = {field: redacted(one.body), "last_updated": one.last_updated}
        if one.version_info is None:
            static.append(entry)
        elif plural == "listeners":
            state = {"version_info": one.version_info, **entry}
            dynamic.append({"name": one.name, "active_state": state})
        elif plural == "secrets":
            version = {"version_info": one.version_info} if one.version_info else {}
            dynamic.append({"name": one.name, **version, **entry})
        else:
            dynamic.append({"version_info": one.version_info, **entry})
    active = (
        f"dynamic_active_{plural}" if plural in ("clusters", "secrets") else f"dynamic_{plural}"
    )
    groups = {f"static_{plural}": static, active: dynamic}
    return {name: entries for name, entries in groups.items() if entries}


def _inline_routes(listener: Stored) -> Iterator[Stored]:
    """Route configurations that stand inside `listener`'s HTTP connection managers."""
    for config in _typed_configs(listener.body):
        if config.get("@type", "").endswith(_HCM) and "route_config" in config:
            body = {
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                **config["route_config"],
            }
            yield Stored(body.get("name", ""), body, listener.last_updated)


def _typed_configs(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "@type" in value:
            yield value
        for inner in value.values():
            yield from _typed_configs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _typed_configs(inner)


def _resource(dumps: Sequence[_Dump], name: str, mask: list[list[str]]) -> list[dict[str, Any]]:
    for kind, body in dumps:
        if name in kind.single:
            what = f"{name} is not a repeated field. Use ?mask={name} to get only this field"
            raise _wrong(400, what)
        if name in kind.fields:
            element = f"{_ADMIN}{kind.message}.{kind.fields[name]}"
            entries = body.get(name, [])
            if mask:
                entries = [_cut(entry, mask) for entry in entries]
            return [{"@type": element, **entry} for entry in entries]
    raise _wrong(404, f"{name} not found in config dump")


def _masked(dumps: Sequence[_Dump], mask: list[list[str]]) -> list[dict[str, Any]]:
    """The dumps that the mask fits, cut down by it. A repeated field is taken whole or not."""
    configs = []
    for kind, body in dumps:
        fits = all(
            path[0] in kind.single or (path[0] in kind.fields and len(path) == 1) for path in mask
        )
        if fits and (cut := _cut(body, mask)):
            configs.append(_message(kind, cut))
    if not configs:
        paths = ",".join(".".join(path) for path in mask)
        raise _wrong(400, f"FieldMask {paths} could not be successfully applied to any configs.")
    return configs


def _cut(body: dict[str, Any], mask: list[list[str]]) -> dict[str, Any]:
    """`body` with the fields that `mask` names, and the types of what is left."""
    kept: dict[str, Any] = {}
    for name, value in body.items():
        paths = [path[1:] for path in mask if path[0] == name]
        if name == "@type" or [] in paths:
            kept[name] = value
        elif paths and isinstance(value, dict):
            kept[name] = _cut(value, paths)
    return kept


#: Fields that Envoy's API marks as sensitive: texts, and data sources.
_SENSITIVE = {"password", "secret_access_key", "session_token"}
_SENSITIVE_SOURCES = {"private_key", "password", "keys", "secret"}
_SOURCE = {
    "filename",
    "inline_string",
    "inline_bytes",
    "environment_variable",
    "watched_directory",
}
_REDACTED = "[redacted]"
_REDACTED_BYTES = "W3JlZGFjdGVkXQ=="


def redacted(value: Any) -> Any:
    """A copy of `value` in which every sensitive text reads "[redacted]"."""
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: _redacted_field(name, inner) for name, inner in value.items()}


def _redacted_field(name: str, value: Any) -> Any:
    if name in _SENSITIVE and isinstance(value, str):
        return _REDACTED
    if name in _SENSITIVE_SOURCES:
        if isinstance(value, list):
            return [_redacted_field(name, inner) for inner in value]
        if isinstance(value, dict) and value.keys() <= _SOURCE:
            return {field: _blank(field, inner) for field, inner in value.items()}
    return redacted(value)


def _blank(field: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _blank(name, inner) for name, inner in value.items()}
    return _REDACTED_BYTES if field == "inline_bytes" else _REDACTED
