"""OCSP responses that go with certificates, as OpenSSL's client sees them."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.proxies import bootstrap, listener, manager, proxy
from tests.e2e.tls import FOLDER, downstream

ANSWER = manager([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])


@pytest.mark.parametrize(
    ("response", "seen"),
    [
        ("a-ecdsa.ocsp", "Cert Status: good"),
        ("a-ecdsa-revoked.ocsp", "Cert Status: revoked"),
        ("a-ecdsa-stale.ocsp", "OCSP response: no response sent"),
    ],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_who_asks_gets_what_holds(tmp_path: Path, response: str, seen: str, version: str) -> None:
    socket = downstream("a-ecdsa")
    (certificate,) = socket["typed_config"]["common_tls_context"]["tls_certificates"]
    certificate["ocsp_staple"] = {"filename": str(FOLDER / response)}
    chain = {**listener(ANSWER)["filter_chains"][0], "transport_socket": socket}
    with proxy(tmp_path, bootstrap([listener({}, filter_chains=[chain])], [])) as running:
        where = "{}:{}".format(*running.address())
        asked = ["openssl", "s_client", "-connect", where, "-status", version]
        told = subprocess.run(asked, input=b"", capture_output=True, timeout=30, check=False)
    assert seen in told.stdout.decode()
