"""HTTP/2 in configurations, and a proxy of two hops with HTTP/2 between them.

Must not know of tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.proxies import Config, Proxy, bootstrap, cluster, listener, manager, proxy

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def protocol(**options: Any) -> Config:
    """A cluster's `typed_extension_protocol_options` with these HttpProtocolOptions."""
    return {OPTIONS: {"@type": f"type.googleapis.com/{OPTIONS}", **options}}


def http2(**options: Any) -> Config:
    """A cluster speaks HTTP/2 with these Http2ProtocolOptions."""
    return protocol(explicit_http_config={"http2_protocol_options": options})


def two_hops(folder: Path, port: int, **hcm: Any) -> Config:
    """To the origin at this port by a second listener; HTTP/2 between them, `hcm` on both."""
    hop = str(folder / "hop")
    to_hop = [{"match": {"prefix": "/"}, "route": {"cluster": "hop"}}]
    second = manager(**{"stat_prefix": "hop", **hcm})
    return bootstrap(
        [listener(manager(to_hop, **hcm)), listener(second, hop, "hop")],
        [cluster(port), cluster(hop, name="hop", typed_extension_protocol_options=http2())],
    )


@contextmanager
def before_http2(folder: Path, port: int, **hcm: Any) -> Iterator[Proxy]:
    """A proxy before an origin that speaks HTTP/2; `hcm` are the connection manager's fields."""
    origin = cluster(port, typed_extension_protocol_options=http2())
    with proxy(folder, bootstrap([listener(manager(**hcm))], [origin])) as running:
        yield running
