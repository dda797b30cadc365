from datetime import UTC, datetime
from pathlib import Path

import pytest

from dragoman.admin.access_log import AccessLog, Entry, paths_of

LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers."
FILE = f"{LOGGERS}file.v3.FileAccessLog"


def entry(**headers: str) -> Entry:
    moment = datetime(2026, 11, 23, 21, 19, 4, 81_500, UTC).timestamp()
    return Entry(moment, "POST", "/zzz", "HTTP/1.1", 404, 3, 5067, 0, headers)


def test_a_line_as_a_real_envoy_writes_it() -> None:
    headers = {
        "x-forwarded-for": "1.2.3.4,192.0.2.2",
        "user-agent": "curl/7.88.1",
        "x-request-id": "123",
        "host": "127.0.0.1:19861",
    }
    assert entry(**headers).line() == (
        '[2026-11-23T21:19:04.081Z] "POST /zzz HTTP/1.1" 404 - 3 5067 0 - "1.2.3.4,192.0.2.2"'
        ' "curl/7.88.1" "123" "127.0.0.1:19861" "-"\n'
    )
    assert entry().line().endswith(' "-" "-" "-" "-" "-"\n')


def test_a_client_cannot_forge_a_line() -> None:
    line = entry(host='a"\x1b\n[2026').line()
    assert line.count("\n") == 1
    assert '"a\\x22\\x1b\\x0a[2026"' in line


def test_files_are_appended_to_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\n")
    log = AccessLog([str(path), "/dev/null"])
    log.write(entry())
    moved = path.rename(tmp_path / "b.log")
    log.write(entry())
    log.reopen()
    log.write(entry())
    log.close()
    assert len(moved.read_text().splitlines()) == 3
    assert len(path.read_text().splitlines()) == 1


def test_dev_null_costs_nothing() -> None:
    assert not AccessLog(["/dev/null"]).enabled
    assert not AccessLog([]).enabled


def test_where_a_configuration_logs_to() -> None:
    assert paths_of({}) == []
    assert paths_of({"access_log_path": "/x"}) == ["/x"]
    stream = {"typed_config": {"@type": f"{LOGGERS}stream.v3.StderrAccessLog"}}
    file = {"name": "a", "typed_config": {"@type": FILE, "path": "/y"}}
    assert paths_of({"access_log": [stream, file]}) == ["/dev/stderr", "/y"]


@pytest.mark.parametrize(
    "logger",
    [
        {"typed_config": {"@type": f"{LOGGERS}grpc.v3.HttpGrpcAccessLogConfig"}},
        {"typed_config": {"@type": FILE, "path": "/y", "log_format": {}}},
        {"typed_config": {"@type": FILE, "path": "/y"}, "filter": {}},
    ],
)
def test_what_is_refused(logger: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"admin\.access_log\[0\]: the admin page logs"):
        paths_of({"access_log": [logger]})
