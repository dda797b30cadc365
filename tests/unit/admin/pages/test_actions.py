import pytest

from tests.unit.admin.fakes import Proxy, post


def test_each_action_reaches_the_process() -> None:
    proxy = Proxy()
    for path in ("/reset_counters", "/reopen_logs", "/healthcheck/fail"):
        assert post(proxy, path).body == "OK\n"
    assert proxy.engine.done == ["reset_counters", "reopen_logs"]
    assert proxy.failed
    post(proxy, "/healthcheck/ok")
    assert not proxy.failed


@pytest.mark.parametrize(
    ("query", "done"),
    [
        ("", "graceful=False inbound_only=False skip_exit=False"),
        ("?graceful", "graceful=True inbound_only=False skip_exit=False"),
        ("?inboundonly&skip_exit", "graceful=False inbound_only=True skip_exit=True"),
    ],
)
def test_drain_listeners(query: str, done: str) -> None:
    proxy = Proxy()
    assert post(proxy, f"/drain_listeners{query}").body == "OK\n"
    assert proxy.engine.done == [f"drain {done}"]


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("", "info info"),
        ("?level=", "info info"),
        ("?level=debug", "debug debug"),
        ("?http=trace", "info trace"),
        ("?paths=http:off,admin:error", "error off"),
    ],
)
def test_logging(query: str, levels: str) -> None:
    proxy = Proxy()
    admin, http = levels.split()
    answer = post(proxy, f"/logging{query}")
    assert answer.body == f"active loggers:\n  admin: {admin}\n  http: {http}\n\n"
    assert proxy.logs.table == {"admin": admin, "http": http}


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("level=foo", "unknown logger level"),
        ("foo=debug", "unknown logger name"),
        ("http=foo", "unknown logger level"),
        ("paths=admin", "empty logger name or empty logger level"),
        ("paths=admin:debug,foo:debug", "unknown logger name"),
        ("paths=admin:debug,http:foo", "unknown logger level"),
        ("level=debug&http=debug", "invalid number of parameters"),
        ("group=http:debug", "group parameter requires fine-grain logging to be enabled"),
    ],
)
def test_a_wrong_logging_request_changes_nothing(query: str, what: str) -> None:
    proxy = Proxy()
    answer = post(proxy, f"/logging?{query}")
    assert answer.status == 400
    assert answer.body.startswith(f"error: {what}\n\nusage: /logging?")
    assert answer.body.endswith("active loggers:\n  admin: info\n  http: info\n\n")
    assert proxy.logs == Proxy().logs
