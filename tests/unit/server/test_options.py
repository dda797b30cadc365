from dragoman.server.options import DEFAULT_LOG_FORMAT, Options


def test_defaults_as_a_real_envoy_shows_them_in_server_info() -> None:
    shown = Options(config_path="rich.yaml").command_line
    expected = {
        "base_id": "0",
        "concurrency": 1,
        "config_path": "rich.yaml",
        "config_yaml": "",
        "log_level": "info",
        "component_log_level": "",
        "log_format": "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v",
        "file_flush_interval": "10s",
        "drain_time": "600s",
        "parent_shutdown_time": "900s",
        "mode": "Serve",
        "drain_strategy": "Gradual",
        "stats_tag": [],
        "local_address_ip_version": "v4",
    }
    assert {name: shown[name] for name in expected} == expected
    assert expected["log_format"] == DEFAULT_LOG_FORMAT


def test_what_was_set_is_shown() -> None:
    shown = Options(
        mode="init_only",
        drain_strategy="immediate",
        component_log_level=(("http", "debug"), ("admin", "off")),
        stats_tag=(("a", "b"),),
        file_flush_interval_msec=1250,
    ).command_line
    assert shown["mode"] == "InitOnly"
    assert shown["drain_strategy"] == "Immediate"
    assert shown["component_log_level"] == "http:debug,admin:off"
    assert shown["stats_tag"] == ["a:b"]
    assert shown["file_flush_interval"] == "1.250s"
