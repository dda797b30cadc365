"""The table against the option list of Envoy 1.40's --help."""

from dragoman.cli.flags import FLAGS
from dragoman.server.options import Options

ENVOY = """
-c --config-path --config-yaml --mode --concurrency -l --log-level --component-log-level --log-path
--log-format --log-format-escaped --service-cluster --service-node --service-zone --drain-time-s
--drain-strategy --parent-shutdown-time-s --admin-address-path --file-flush-interval-msec
--file-flush-min-size-kb --stats-tag --allow-unknown-static-fields --allow-unknown-fields
--reject-unknown-dynamic-fields --ignore-unknown-dynamic-fields --disable-extensions --base-id
--use-dynamic-base-id --base-id-path --restart-epoch --disable-hot-restart
--skip-hot-restart-on-no-parent --skip-hot-restart-parent-stats --socket-path --socket-mode
--hot-restart-version --local-address-ip-version --cpuset-threads --enable-mutex-tracing
--enable-core-dump --enable-fine-grain-logging --log-stacktrace-single-entry
--skip-deprecated-logs --version
"""


def test_every_option_of_envoy_is_known() -> None:
    assert {name for flag in FLAGS for name in flag.names} == set(ENVOY.split())


def test_an_option_has_an_effect_or_a_reason_why_not() -> None:
    handled = {"version", "hot_restart_version", "disable_extensions", "allow_unknown_fields"}
    stored = set(Options._fields)
    for flag in FLAGS:
        assert flag.without_effect or flag.dest in stored | handled, flag.names
