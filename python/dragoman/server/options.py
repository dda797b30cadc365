"""What the command line decides: one frozen value, with Envoy's defaults and names.

A NamedTuple, because importing dataclasses takes a tenth of the time to the first connection.
"""

from typing import NamedTuple

DEFAULT_LOG_FORMAT = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"


class Options(NamedTuple):
    """A field is named as its command-line option; durations carry their unit in the name."""

    config_path: str = ""
    config_yaml: str = ""
    #: "serve" | "validate" | "init_only"
    mode: str = "serve"
    concurrency: int = 1
    log_level: str = "info"
    #: (logger, level)
    component_log_level: tuple[tuple[str, str], ...] = ()
    log_path: str = ""
    #: None: not set on the command line, so the bootstrap may set it
    log_format: str | None = None
    log_format_escaped: bool = False
    service_cluster: str = ""
    service_node: str = ""
    service_zone: str = ""
    drain_time_s: int = 600
    #: "gradual" | "immediate"
    drain_strategy: str = "gradual"
    parent_shutdown_time_s: int = 900
    admin_address_path: str = ""
    file_flush_interval_msec: int = 10_000
    file_flush_min_size_kb: int = 64
    base_id: int = 0
    use_dynamic_base_id: bool = False
    base_id_path: str = ""
    restart_epoch: int = 0
    disable_hot_restart: bool = False
    allow_unknown_static_fields: bool = False
    reject_unknown_dynamic_fields: bool = False
    ignore_unknown_dynamic_fields: bool = False
    local_address_ip_version: str = "v4"
    #: (tag, value): on every metric
    stats_tag: tuple[tuple[str, str], ...] = ()
    #: Options given that have no effect here: (option, why)
    without_effect: tuple[tuple[str, str], ...] = ()

    @property
    def command_line(self) -> dict[str, object]:
        """`command_line_options` of /server_info (envoy.admin.v3.CommandLineOptions)."""
        return {
            "base_id": str(self.base_id),
            "concurrency": self.concurrency,
            "config_path": self.config_path,
            "config_yaml": self.config_yaml,
            "allow_unknown_static_fields": self.allow_unknown_static_fields,
            "admin_address_path": self.admin_address_path,
            "local_address_ip_version": self.local_address_ip_version,
            "log_level": self.log_level,
            "component_log_level": ",".join(
                f"{n}:{level}" for n, level in self.component_log_level
            ),
            "log_format": self.log_format or DEFAULT_LOG_FORMAT,
            "log_path": self.log_path,
            "service_cluster": self.service_cluster,
            "service_node": self.service_node,
            "service_zone": self.service_zone,
            "file_flush_interval": _seconds(self.file_flush_interval_msec),
            "drain_time": f"{self.drain_time_s}s",
            "parent_shutdown_time": f"{self.parent_shutdown_time_s}s",
            "mode": {"serve": "Serve", "validate": "Validate", "init_only": "InitOnly"}[self.mode],
            "disable_hot_restart": self.disable_hot_restart,
            "restart_epoch": self.restart_epoch,
            "reject_unknown_dynamic_fields": self.reject_unknown_dynamic_fields,
            "log_format_escaped": self.log_format_escaped,
            "ignore_unknown_dynamic_fields": self.ignore_unknown_dynamic_fields,
            "use_dynamic_base_id": self.use_dynamic_base_id,
            "base_id_path": self.base_id_path,
            "drain_strategy": self.drain_strategy.capitalize(),
            "stats_tag": [f"{tag}:{value}" for tag, value in self.stats_tag],
            "file_flush_min_size": self.file_flush_min_size_kb,
        }


def _seconds(milliseconds: int) -> str:
    """A protobuf Duration as JSON: `10s`, `0.250s`."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"
