"""The proxies that are compared. Adding one: a module here and a line in `PEERS`."""

from bench.peers.caddy import Caddy
from bench.peers.dragoman import Dragoman
from bench.peers.envoy import Envoy
from bench.peers.haproxy import HaproxyHttp, HaproxyTcp
from bench.peers.nginx import Nginx
from bench.peers.peer import Peer

#: In the order in which tables and pictures list them.
PEERS: tuple[Peer, ...] = (
    Dragoman(),
    HaproxyTcp(),
    HaproxyHttp(),
    Nginx(),
    Envoy(),
    Caddy(),
)

__all__ = ["PEERS", "Peer"]
