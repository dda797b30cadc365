"""What a check may know of the configuration around the message that it looks at."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dragoman.config.messages import Message


class Context(NamedTuple):
    """Facts of the whole configuration."""

    #: names of the clusters that exist
    clusters: frozenset[str]
    #: what validate_clusters means where it isn't set: True for routes written into a listener
    validate_clusters: bool = True
    #: static secrets by name
    secrets: Mapping[str, Message] = MappingProxyType({})
    #: the message was fetched: its files are looked at again and again
    is_fetched: bool = False
    #: names of the clusters that choose hosts by hash
    hashing: frozenset[str] = frozenset()
