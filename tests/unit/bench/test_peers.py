"""Configurations the peers are given, and what the generator's line is read as."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.errors import BenchError
from bench.generator import parse_outcome
from bench.peers import PEERS
from bench.peers.envoy import bootstrap, write_config
from bench.peers.peer import version_in
from bench.site import Place, Site

SITES = [Site(), Site(hosts=3), Site(routes=3), Site(access_log=True)]


@pytest.mark.parametrize("site", SITES)
def test_our_yaml_reads_as_what_was_meant(site: Site, tmp_path: Path) -> None:
    place = Place(1, 2, 3, tmp_path)
    assert yaml.safe_load(write_config(site, place).read_text()) == bootstrap(site, place)


@pytest.mark.parametrize("site", SITES)
def test_every_able_peer_is_told_the_ports_and_names(site: Site, tmp_path: Path) -> None:
    place = Place(10_001, 10_002, 10_003, tmp_path)
    for peer in PEERS:
        if peer.refusal(site) is not None:
            continue
        peer.command(site, place)
        told = "".join(path.read_text() for path in tmp_path.iterdir())
        for word in ("10001", "10002", *site.host_names(), *site.prefixes()):
            assert word in told, (peer.name, word)
        for path in tmp_path.iterdir():
            path.unlink()


def test_targets_meet_every_host_and_route() -> None:
    assert [host for host, _ in Site(hosts=3).targets()] == Site(hosts=3).host_names()
    site = Site(routes=3)
    for (_, path), prefix in zip(site.targets(), site.prefixes(), strict=True):
        assert path.startswith(prefix)
    assert len(Site().targets()) == 1


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("nginx version: nginx/1.22.1\n", "1.22.1"),
        ("/lib/python3.11/envoy  version: 9e55/1.40.0/Clean\n", "1.40.0"),
        ("v2.6", "2.6"),
        ("unknown", "?"),
    ],
)
def test_version(said: str, version: str) -> None:
    assert version_in(said) == version


def test_outcome() -> None:
    line = (
        '{"requests":9,"failures":2,"connections":1,"body_bytes":0,"seconds":1.5,"per_second":4.7,'
        '"ends":{"ok":7,"lost":2,"malformed":0},"statuses":{"200":7},'
        '"latency_us":{"mean":1,"p50":1,"p90":2,"p99":3,"p99.9":4,"max":5}}'
    )
    outcome = parse_outcome(line)
    assert (outcome.requests, outcome.p99, outcome.failures) == (9, 3, {"lost": 2})
    for bad in ("", "{}", "[]"):
        with pytest.raises(BenchError):
            parse_outcome(bad)
