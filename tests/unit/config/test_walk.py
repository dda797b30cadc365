"""Every message once, typed configurations opened, from the outside in."""

from dragoman.config.messages import types
from dragoman.config.walk import unpack, walk

CLUSTER = "envoy.config.cluster.v3.Cluster"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster():  # type: ignore[no-untyped-def]
    message = types().new(CLUSTER)
    message.name = "c"
    message.connect_timeout.seconds = 1
    message.load_assignment.endpoints.add().lb_endpoints.add().endpoint.hostname = "h"
    options = types().new(OPTIONS)
    options.explicit_http_config.http_protocol_options.enable_trailers = True
    packed = message.typed_extension_protocol_options[OPTIONS]
    packed.type_url = f"x.com/{OPTIONS}"
    packed.value = options.SerializeToString()
    return message


def test_paths_and_order() -> None:
    paths = [step.path for step in walk(types(), cluster())]
    options = f'typed_extension_protocol_options["{OPTIONS}"]'
    endpoints = "load_assignment.endpoints[0]"
    assert paths[0] == ""
    assert set(paths[1:]) == {
        "load_assignment", endpoints, f"{endpoints}.lb_endpoints[0]",
        f"{endpoints}.lb_endpoints[0].endpoint", options, f"{options}.explicit_http_config",
        f"{options}.explicit_http_config.http_protocol_options",
    }  # fmt: skip
    assert paths.index("load_assignment") < paths.index(endpoints)


def test_steps_know_extensions_and_what_is_pruned() -> None:
    seen = {}
    for step in walk(types(), cluster()):
        if step.type_name == CLUSTER:
            step.unsupported.add("load_assignment")
        seen[step.path] = (step.pruned, step.is_extension)
    assert seen["load_assignment"] == (True, False)
    assert seen["load_assignment.endpoints[0].lb_endpoints[0].endpoint"] == (True, False)
    assert seen[f'typed_extension_protocol_options["{OPTIONS}"]'] == (False, True)


def test_what_cannot_be_opened_comes_as_it_is() -> None:
    for url, value in ((f"x.com/{OPTIONS}", b"\xff"), ("x.com/no.Such", b"")):
        message = types().new(CLUSTER)
        packed = message.transport_socket.typed_config
        packed.type_url, packed.value = url, value
        steps = {step.path: step for step in walk(types(), message)}
        assert steps["transport_socket.typed_config"].type_name == "google.protobuf.Any"
        assert unpack(types(), packed) is None


def test_paths_below_a_step() -> None:
    (step,) = walk(types(), types().new(CLUSTER), "a[0]")
    assert step.below("b") == "a[0].b"
    assert step.below("[1]") == "a[0][1]"
    assert step.below("") == "a[0]"
    (step,) = walk(types(), types().new(CLUSTER))
    assert step.below("b") == "b"
