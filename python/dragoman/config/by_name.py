"""Extensions that older configurations name without a typed configuration.

Envoy's own configs/envoy-demo.yaml does so for the router, although Envoy 1.40 refuses it. Dragoman
reads such an entry as the extension with its default configuration, and warns.
"""

from dragoman.config.messages import Message

_PREFIX = "type.googleapis.com/"
_HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
# (message, name) -> the extension's type. Only extensions that work with an empty configuration.
_KNOWN = {
    (_HTTP_FILTER, "envoy.filters.http.router"): "envoy.extensions.filters.http.router.v3.Router",
}


def complete(message: Message) -> str:
    """Gives `message` the typed configuration that its name stands for; its type, or ""."""
    if message.DESCRIPTOR.full_name != _HTTP_FILTER or message.WhichOneof("config_type"):
        return ""
    found = _KNOWN.get((_HTTP_FILTER, message.name), "")
    if found:
        message.typed_config.type_url = _PREFIX + found
    return found
