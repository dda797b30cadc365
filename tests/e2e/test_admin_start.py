"""How the process starts, ends, and says what is wrong."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.e2e.running import DRAGOMAN, Running, free_port, origin, run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_process_cleanly(dragoman: Running, number: signal.Signals) -> None:
    dragoman.process.send_signal(number)
    assert dragoman.process.wait(timeout=10) == 0
    log = dragoman.log.read_text()
    assert f"caught {number.name}" in log
    assert "Traceback" not in log


def test_sighup_is_ignored(dragoman: Running) -> None:
    dragoman.process.send_signal(signal.SIGHUP)
    assert dragoman.admin.get("/ready").status_code == 200


def test_sigusr1_reopens_the_log(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "dragoman.log"
    running = Running(
        [*DRAGOMAN, "--log-path", str(log), "--log-format", "%l %v"], config, tmp_path
    )
    try:
        log.rename(tmp_path / "old.log")
        running.process.send_signal(signal.SIGUSR1)
        running.wait(log.exists)
        running.admin.get("/logging")
        running.wait(lambda: 'error admin path "/logging"' in log.read_text())
    finally:
        assert running.end() == 0


def test_validate_says_ok_like_envoy(config: Path) -> None:
    done = run("--mode", "validate", "-c", config)
    assert (done.returncode, done.stdout) == (0, f"configuration '{config}' OK\n")
    assert run("validate", config).returncode == 0


def test_init_only_ends_at_once(config: Path) -> None:
    assert run("--mode", "init_only", "-c", config).returncode == 0


def test_a_faulty_configuration(config: Path, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(config.read_text().replace("stat_prefix", "stat_prefxi"))
    for arguments in (["-c", faulty], ["--mode", "validate", "-c", faulty], ["validate", faulty]):
        done = run(*arguments)
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert re.search(r"faulty\.yaml:\d+:\d+", said), said
        assert "stat_prefix" in said
        assert "Traceback" not in said
    found = json.loads(run("validate", faulty, "--format", "json").stdout)
    assert found


def test_a_missing_file(tmp_path: Path) -> None:
    done = run("-c", tmp_path / "nope.yaml")
    assert done.returncode == 1
    assert "nope.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_in_use_names_listener_address_and_holder(config: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.yaml"
    head, resources = config.read_text().split("static_resources:")
    # A foreign listener: Dragoman's own would share the port (SO_REUSEPORT).
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        listeners = resources.replace("port_value: 0", f"port_value: {port}", 1)
        taken.write_text(f"{head}static_resources:{listeners}")
        done = run("-c", taken)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert f"listener 'web': cannot bind '127.0.0.1:{port}': address already in use" in said
    assert f"(pid {os.getpid()})" in said
    assert "Traceback" not in done.stderr


def test_a_taken_admin_address(dragoman: Running, config: Path, tmp_path: Path) -> None:
    port = dragoman.admin.base_url.port
    taken = tmp_path / "taken.yaml"
    taken.write_text(config.read_text().replace("port_value: 0", f"port_value: {port}", 1))
    done = run("-c", taken)
    assert done.returncode == 1
    assert f"admin page: cannot bind '127.0.0.1:{port}': address already in use" in done.stderr
    assert f"(pid {dragoman.process.pid}) listens there" in done.stderr


def test_options_without_effect_are_said(config: Path, tmp_path: Path) -> None:
    running = Running([*DRAGOMAN, "--base-id", "3", "--enable-core-dump"], config, tmp_path)
    try:
        log = running.log.read_text()
        assert "--base-id has no effect: " in log
        assert "--enable-core-dump has no effect: " in log
        info = running.admin.get("/server_info").json()
        assert info["command_line_options"]["base_id"] == "3"
    finally:
        assert running.end() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_proxy_without_a_configuration_file(host: str) -> None:
    port = free_port()
    with origin() as target:
        command = [*DRAGOMAN, "proxy", "--from", f"127.0.0.1:{port}", "--to", f"{host}:{target}"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            transport = httpx.HTTPTransport(retries=8)
            with httpx.Client(transport=transport) as client:
                assert client.get(f"http://127.0.0.1:{port}/").text == "ok"
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0
