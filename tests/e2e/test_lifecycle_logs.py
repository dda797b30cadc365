"""Access logs whose files move, fill up or vanish while traffic goes on."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.proxies import (
    Config,
    Proxy,
    bootstrap,
    cluster,
    file_log,
    listener,
    logged,
    manager,
    proxy,
)
from tests.e2e.wire import Wire, answering, serving


@contextmanager
def logging(folder: Path, *logs: Path | str) -> Iterator[tuple[Proxy, Wire]]:
    """A proxy with these access logs, and a client."""
    with serving(answering()) as origin:
        hcm = manager(access_log=[file_log(log, Proxy.LOG) for log in logs])
        config = bootstrap([listener(hcm)], [cluster(origin.port)])
        with proxy(folder, config) as running:
            yield running, running.connect()


def lines(path: Path) -> list[str]:
    """The paths that were asked for, from the log."""
    return [line.split(" ")[-1][:-1] for line in path.read_text().splitlines()]


REOPEN: dict[str, Callable[[Proxy], object]] = {
    "SIGUSR1": lambda running: running.process.send_signal(signal.SIGUSR1),
    "reopen_logs": lambda running: running.admin.post("/reopen_logs"),
}


@pytest.mark.parametrize("how", REOPEN)
def test_a_moved_file_is_opened_anew(tmp_path: Path, how: str) -> None:
    """No line is lost or written twice, and their order is kept."""
    new, old = tmp_path / "access", tmp_path / "old"
    with logging(tmp_path, new) as (running, client):
        for number in range(100):
            client.get(f"/{number}")
        new.rename(old)
        REOPEN[how](running)
        running.wait(new.exists)
        for number in range(100, 200):
            client.get(f"/{number}")
        running.wait(lambda: len(lines(old)) + len(lines(new)) >= 200)
        assert lines(old) + lines(new) == [f"/{number}" for number in range(200)]
        assert "/199" in lines(new)


def test_rotation_amid_traffic(tmp_path: Path) -> None:
    new = tmp_path / "access"
    with logging(tmp_path, new) as (running, client):
        for turn in range(10):
            for number in range(30):
                client.get(f"/{turn}-{number}")
            new.rename(tmp_path / f"old-{turn}")
            running.process.send_signal(signal.SIGUSR1)
            running.wait(new.exists)
        files = [*(tmp_path / f"old-{turn}" for turn in range(10)), new]
        running.wait(lambda: sum(len(lines(file)) for file in files) >= 300)
        found = [line for file in files for line in lines(file)]
        assert found == [f"/{turn}-{number}" for turn in range(10) for number in range(30)]


def test_a_truncated_file_is_written_from_its_beginning(tmp_path: Path) -> None:
    """`copytruncate`: the file is opened for appending, so no hole is left."""
    log = tmp_path / "access"
    with logging(tmp_path, log) as (running, client):
        client.get("/before")
        logged(tmp_path, running, 1)
        log.write_text("")
        client.get("/after")
        running.wait(lambda: lines(log) == ["/after"])


def test_a_full_disk_hurts_nobody(tmp_path: Path) -> None:
    with logging(tmp_path, "/dev/full", tmp_path / "access") as (running, client):
        before = running.rss()
        assert {client.get(f"/{number}").status for number in range(2000)} == {200}
        assert len(logged(tmp_path, running, 2000)) == 2000
        assert running.rss() - before < 8 << 20


def wait_counted(running: Proxy, name: str) -> None:
    assert f"filesystem.{name}" in running.stats("^filesystem")
    running.wait(lambda: running.stat(f"filesystem.{name}") > 0)


def test_a_full_disk_is_counted(tmp_path: Path) -> None:
    with logging(tmp_path, "/dev/full") as (running, client):
        client.get()
        wait_counted(running, "write_failed")


def test_writes_are_counted(tmp_path: Path) -> None:
    with logging(tmp_path, tmp_path / "access") as (running, client):
        client.get()
        logged(tmp_path, running, 1)
        wait_counted(running, "write_completed")
        running.wait_stat("filesystem.write_total_buffered", 0)


def vanish(folder: Path, running: Proxy, client: Wire) -> None:
    """The log's folder goes, and SIGUSR1 comes in vain."""
    client.get("/before")
    running.wait(lambda: lines(folder / "log") == ["/before"])
    shutil.rmtree(folder)
    running.process.send_signal(signal.SIGUSR1)
    assert client.get("/lost").status == 200


def test_a_vanished_folder_that_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with logging(tmp_path, folder / "log") as (running, client):
        vanish(folder, running, client)
        folder.mkdir()
        running.process.send_signal(signal.SIGUSR1)
        running.wait((folder / "log").exists)
        assert client.get("/after").status == 200
        running.wait(lambda: "/after" in lines(folder / "log"))


def test_a_vanished_folder_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with logging(tmp_path, folder / "log") as (running, client):
        vanish(folder, running, client)
        wait_counted(running, "reopen_failed")


def test_a_folder_that_is_missing_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "missing" / "log"
    config: Config = bootstrap(
        [listener(manager(access_log=[file_log(log, Proxy.LOG)]))], [cluster(1)]
    )
    with pytest.raises(AssertionError) as refused:
        Proxy(tmp_path, config)
    said = str(refused.value)
    assert str(log) in said
    assert "error[DG" in said
    assert "Traceback" not in said


def test_two_listeners_share_a_file(tmp_path: Path) -> None:
    """Whole lines only, whoever writes them."""
    log = tmp_path / "access"
    hcm = manager(access_log=[file_log(log, Proxy.LOG)])
    listeners = [listener(hcm, name=name) for name in ("web", "second")]
    with serving(answering()) as origin:
        config = bootstrap(listeners, [cluster(origin.port)])
        with proxy(tmp_path, config, workers=2) as running:
            clients = [running.connect(name) for name in ("web", "second") * 4]
            for number in range(50):
                for client in clients:
                    client.get(f"/{number}-" + "x" * 300)
            found = lines_of(logged(tmp_path, running, 400))
            assert sorted(found) == sorted(str(number) for number in range(50) for _ in clients)


def lines_of(rows: list[str]) -> list[str]:
    """The numbers of whole lines."""
    numbers = []
    for row in rows:
        start, _, rest = row.partition('"GET /')
        number, _, padding = rest.partition("-")
        assert (start, padding) == ("200 - via_upstream ", "x" * 300 + '"')
        numbers.append(number)
    return numbers


def test_what_was_logged_is_written_at_the_end(tmp_path: Path) -> None:
    """Even where lines would wait for long: the end doesn't lose them."""
    log = tmp_path / "access"
    with serving(answering()) as origin:
        hcm = manager(access_log=[file_log(log, Proxy.LOG)])
        config = bootstrap([listener(hcm)], [cluster(origin.port)])
        running = Proxy(tmp_path, config, flush_ms=600_000)
        client = running.connect()
        for number in range(10):
            client.get(f"/{number}")
        assert running.end() == 0
    assert lines(log) == [f"/{number}" for number in range(10)]
