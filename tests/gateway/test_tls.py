from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from aisio.gateway import Gateway

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
    command += ["-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secure(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway over https."""
    folder = tmp_path_factory.mktemp("secure")
    (folder / "b").mkdir()
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    with Gateway(folder, tls_cert=cert, tls_key=key) as gateway:
        yield gateway


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_objects_travel_encrypted(secure: Gateway, certificate: Path, size: int) -> None:
    """PUT by redirect, GET and ranges, without sendfile."""
    data, url = os.urandom(size), f"{secure.endpoint}/v1/objects/b/o"
    with requests.Session() as http:
        http.trust_env, http.verify = False, str(certificate / "cert.pem")
        head = http.put(url, headers={"Connection": "close"}, allow_redirects=False)
        assert head.headers["Location"].startswith(f"{url}?pid=")
        assert http.put(head.headers["Location"], data=data).status_code == 200
        assert http.get(url).content == data
        assert http.get(url, headers={"Range": "bytes=2-7"}).content == data[2:8]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_plain_http_is_told_to_use_https(secure: Gateway, method: str) -> None:
    """And the next client is served."""
    with requests.Session() as http:
        http.trust_env = False
        url = f"{secure.endpoint.replace('https:', 'http:')}/v1/objects/b/o"
        reply = http.request(method, url, data=b"x" * 100)
    assert (reply.status_code, "write https://" in reply.text) == (400, True)


def test_the_official_client_puts_over_https(
    secure: Gateway, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It silently loses the data if an https server does not redirect."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    sdk = pytest.importorskip("aistore.sdk")
    client = sdk.Client(secure.endpoint, ca_cert=str(certificate / "cert.pem"))
    item = client.bucket("b").object("sdk")
    item.get_writer().put_content(b"x" * 100_000)
    assert item.get_reader().read_all() == b"x" * 100_000
