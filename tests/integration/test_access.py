"""https and tokens, on gateways of their own: nothing is sent to whom it is not meant for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.client.client import Client
from aisio.errors import AccessError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy, TlsFiles

DATA = bytes(range(256)) * 10_000

pytest.importorskip("aiohttp", reason="the gateway needs aiohttp")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the files of a certificate for 127.0.0.1 that vouches for itself, and of its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not on PATH")
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture(scope="module")
def secure(
    certificate: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Return a gateway that speaks https and wants a token."""
    folder = tmp_path_factory.mktemp("secure")
    cert, key = certificate
    with Gateway(folder, token="s3cret", tls_cert=cert, tls_key=key) as gateway:
        yield gateway


def use(client: Client, tmp_path: Path) -> None:
    """Do a bit of everything."""
    bucket = client.bucket("b").create(exist_ok=True)
    file = tmp_path / "data"
    file.write_bytes(DATA)
    bucket.object("o").put(file)
    assert bucket.object("o").get() == DATA
    assert bucket.object("o").get(start=5, stop=9) == DATA[5:9]
    assert [info.name for info in bucket.list()] == ["o"]
    bucket.object("o").delete()
    client.close()


def test_all_of_it_works_over_https(
    secure: Gateway, certificate: tuple[str, str], tmp_path: Path
) -> None:
    """With the authority's file; the data of a PUT goes behind the redirect."""
    assert secure.endpoint.startswith("https://")
    tls = TlsFiles(ca_file=certificate[0])
    use(Client(secure.endpoint, token="s3cret", tls=tls), tmp_path)


def test_the_environment_says_the_same(
    secure: Gateway,
    certificate: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AIS_ENDPOINT, AIS_CLIENT_CA and AIS_AUTHN_TOKEN are enough."""
    monkeypatch.setenv("AIS_ENDPOINT", secure.endpoint)
    monkeypatch.setenv("AIS_CLIENT_CA", certificate[0])
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "s3cret")
    use(Client(), tmp_path)


def test_an_unknown_authority_is_refused_at_once(secure: Gateway) -> None:
    """No retry makes it known; the error says what would."""
    client = Client(secure.endpoint, token="s3cret", retry=RetryPolicy(first_wait_s=1000))
    for ask in (client.buckets, client.object("ais://b/o").get):
        with pytest.raises(AccessError, match="TLS with .* failed.*AIS_CLIENT_CA") as caught:
            ask()
        assert "gave up" not in str(caught.value)
    client.close()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_the_check_can_be_switched_off(
    secure: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By argument, also against the authorities that the environment names for requests."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    use(Client(secure.endpoint, token="s3cret", tls=TlsFiles(verify=False)), tmp_path)


@pytest.mark.parametrize("token", [None, "wr0ng"])
def test_a_wrong_token_is_refused_at_once(
    secure: Gateway, certificate: tuple[str, str], token: str | None
) -> None:
    """For control calls and for bytes; it is not shown."""
    tls = TlsFiles(ca_file=certificate[0])
    client = Client(secure.endpoint, token=token, tls=tls, retry=RetryPolicy(first_wait_s=1000))
    item = client.object("ais://b/o")
    for ask in (client.buckets, item.get, item.head, item.delete, lambda: item.put(DATA)):
        with pytest.raises(AccessError, match="AIS_AUTHN_TOKEN") as caught:
            ask()
        assert "wr0ng" not in str(caught.value)
    client.close()
