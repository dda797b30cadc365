import pytest
import yaml

from dragoman.cli import proxy
from dragoman.cli.proxy import Address


def load(source: str, *targets: str, admin: str | None = None) -> object:
    text = proxy.configuration(
        proxy.address(source),
        [proxy.target(target) for target in targets],
        proxy.address(admin) if admin else None,
    )
    return yaml.safe_load(text)


def endpoint(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":8080", "", 8080),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:80", "::1", 80),
        ("origin.example:443", "origin.example", 443),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert proxy.address(text) == Address(host, port)


@pytest.mark.parametrize("text", ["8080", "a:b", ":99999", "::1:80", "a b:1", ""])
def test_what_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address|needs both"):
        proxy.address(text)


@pytest.mark.parametrize("text", [":80", "host:0"])
def test_a_target_needs_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address|needs both"):
        proxy.target(text)


def test_addresses_stand_in_the_configuration() -> None:
    config = load(":8080", "127.0.0.1:9000", "[::1]:9001", admin=":9901")
    assert isinstance(config, dict)
    assert config["admin"]["address"] == endpoint("127.0.0.1", 9901)
    resources = config["static_resources"]
    assert resources["listeners"][0]["address"] == endpoint("0.0.0.0", 8080)
    cluster = resources["clusters"][0]
    assert cluster["type"] == "STATIC"
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [e["endpoint"]["address"] for e in endpoints] == [
        endpoint("127.0.0.1", 9000),
        endpoint("::1", 9001),
    ]


def test_names_are_resolved_and_no_admin_by_default() -> None:
    config = load("127.0.0.1:1", "localhost:2")
    assert isinstance(config, dict)
    assert "admin" not in config
    assert config["static_resources"]["clusters"][0]["type"] == "STRICT_DNS"


def test_print_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert proxy.main(["--from", ":80", "--to", "10.0.0.1:81", "--print-config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == load(":80", "10.0.0.1:81")


@pytest.mark.parametrize(
    "argv", [[], ["--from", ":80"], ["--to", "a:1"], ["--from=80", "--to=a:1"]]
)
def test_what_is_missing_or_wrong(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        proxy.main(argv)
    assert end.value.code == 1
    assert "--from" in capsys.readouterr().err
