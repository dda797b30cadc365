"""The only module that imports the compiled engine."""

from dragoman._core._native import (
    BindError,
    ClusterStatus,
    Engine,
    Histogram,
    HostStatus,
    ListenerStatus,
    LoadedCertificate,
    Metric,
    Published,
    PublishError,
    Regex,
    __version__,
)

__all__ = [
    "BindError",
    "ClusterStatus",
    "Engine",
    "Histogram",
    "HostStatus",
    "ListenerStatus",
    "LoadedCertificate",
    "Metric",
    "PublishError",
    "Published",
    "Regex",
    "__version__",
]
