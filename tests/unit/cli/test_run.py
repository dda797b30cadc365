import pytest

from dragoman.cli.run import PARSER, make_options
from dragoman.server.options import Options


def options(*argv: str) -> Options:
    return make_options(PARSER.read(argv))


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        options(*argv)
    assert end.value.code == 1
    return capsys.readouterr().err


def test_envoys_defaults() -> None:
    made = options("-c", "envoy.yaml", "--concurrency", "3")
    assert made == Options(config_path="envoy.yaml", concurrency=3)
    assert (made.drain_time_s, made.parent_shutdown_time_s) == (600, 900)
    assert (made.file_flush_interval_msec, made.drain_strategy) == (10_000, "gradual")


def test_every_value_reaches_its_option() -> None:
    line = """
        --config-path=a --config-yaml={} --mode init_only --concurrency 2 -l warn
        --component-log-level upstream:debug,http:warn --log-path f --log-format %v
        --log-format-escaped --service-cluster sc --service-node sn --service-zone sz
        --drain-time-s 5 --drain-strategy immediate --admin-address-path p
        --file-flush-interval-msec 7 --file-flush-min-size-kb 8 --stats-tag a:b
        --stats-tag c:d/e --allow-unknown-static-fields
        --reject-unknown-dynamic-fields --ignore-unknown-dynamic-fields
    """
    made = options(*line.split())
    assert made == Options(
        config_path="a",
        config_yaml="{}",
        mode="init_only",
        concurrency=2,
        log_level="warning",
        component_log_level=(("upstream", "debug"), ("http", "warning")),
        log_path="f",
        log_format="%v",
        log_format_escaped=True,
        service_cluster="sc",
        service_node="sn",
        service_zone="sz",
        drain_time_s=5,
        drain_strategy="immediate",
        admin_address_path="p",
        file_flush_interval_msec=7,
        file_flush_min_size_kb=8,
        stats_tag=(("a", "b"), ("c", "d/e")),
        allow_unknown_static_fields=True,
        reject_unknown_dynamic_fields=True,
        ignore_unknown_dynamic_fields=True,
    )


def test_options_without_effect_are_accepted_and_remembered() -> None:
    made = options("-c", "x", "--base-id", "7", "--enable-core-dump", "--disable-hot-restart")
    assert [name for name, _ in made.without_effect] == ["--base-id", "--enable-core-dump"]
    assert all(reason for _, reason in made.without_effect)
    assert made.base_id == 7


def test_zero_workers_are_one() -> None:
    assert options("-c", "x", "--concurrency=0").concurrency == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "at least one of --config-path and --config-yaml"),
        (["-c", "x", "-c", "y"], "given more than once"),
        (["-c", "x", "--component-log-level", "htp:debug"], "did you mean 'http'?"),
        (["-c", "x", "--component-log-level", "http:loud"], "unknown log level 'loud'"),
        (["-c", "x", "-l", "loud"], "unknown log level 'loud'"),
        (["-c", "x", "--stats-tag", "a"], "'a' is not TAG:VALUE"),
        (["-c", "x", "--stats-tag", "a:b.c"], "'a:b.c' is not TAG:VALUE"),
        (["-c", "x", "--stats-tag", "a:b", "--stats-tag", "a:c"], "tag 'a' is given more"),
        (["-c", "x", "--drain-strategy", "slow"], "unknown drain strategy 'slow'"),
        (["-c", "x", "--local-address-ip-version", "v5"], "unknown IP address version 'v5'"),
        (["-c", "x", "--disable-extensions", "a"], "--disable-extensions is not supported"),
        (["-c", "x", "--config-pth=y"], "did you mean '--config-path'?"),
    ],
)
def test_what_is_refused(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    assert message in refused(capsys, *argv)
