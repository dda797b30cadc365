"""Extensions by name alone."""

from dragoman.config.by_name import complete
from dragoman.config.messages import types

FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"


def test_the_router_is_known_by_its_name() -> None:
    message = types().new(FILTER)
    message.name = "envoy.filters.http.router"
    assert complete(message).endswith(".Router")
    assert message.typed_config.type_url.endswith("/envoy.extensions.filters.http.router.v3.Router")
    assert complete(message) == ""


def test_other_names_say_nothing() -> None:
    message = types().new(FILTER)
    message.name = "envoy.filters.http.lua"
    assert complete(message) == ""
    assert not message.HasField("typed_config")
    other = types().new("envoy.config.listener.v3.Filter")
    other.name = "envoy.filters.http.router"
    assert complete(other) == ""
