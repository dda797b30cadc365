"""Configuration: YAML or JSON -> Envoy v3 messages -> diagnostics -> resources to publish.

The way through the modules: source (yaml_text, json_text, nodes) -> reader (scalars, shapes,
by_name, messages) -> walk with validate_rules, support, checks, deprecations -> loaded. positions
leads from a field's path back to file, line and column; diagnostics and render say what is wrong.
Must not know the engine, sockets or the command line.
"""

from dragoman.config.bootstrap import load_bootstrap
from dragoman.config.diagnostics import Diagnostic, Position
from dragoman.config.dump import from_bytes, message_to_dict
from dragoman.config.loaded import Loaded, Resource
from dragoman.config.render import render_json, render_text
from dragoman.config.secrets import Fetched, Wanted, fetch, wanted
from dragoman.errors import ConfigError

__all__ = [
    "ConfigError",
    "Diagnostic",
    "Fetched",
    "Loaded",
    "Position",
    "Resource",
    "Wanted",
    "fetch",
    "from_bytes",
    "load_bootstrap",
    "message_to_dict",
    "render_json",
    "render_text",
    "wanted",
]
