"""Dragoman: a service proxy that runs Envoy's configuration unchanged."""

__version__ = "0.1.0"

__all__ = ["__version__"]
