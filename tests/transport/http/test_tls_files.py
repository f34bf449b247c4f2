"""PEM files that cannot be used are reported as a wrong setting, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives import serialization

from aisio.client.client import Client
from aisio.errors import ConfigError
from aisio.records import TlsFiles
from aisio.transport.http.tls_files import check_tls_files
from tests.resources.certificates import Authority, make_authority

HTTPS = "https://127.0.0.1:1"


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that names no authorities."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make certificates."""
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"not PEM", b"\x30\x82\x01\x0a"])
def test_a_bad_bundle_of_the_environment_is_reported_by_its_variable(
    name: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both kinds of requests check it: otherwise it would be retried for a minute."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv(name, str(bundle))
    client = Client(HTTPS)
    for send in (client.bucket("b").exists, client.object("ais://b/o").get):
        with pytest.raises(ConfigError, match=f"{name}='{bundle}' holds no certificates"):
            send()


def test_a_bad_file_of_the_settings_is_reported(tmp_path: Path) -> None:
    """It takes precedence over those of the environment."""
    file = tmp_path / "ca.pem"
    file.write_text("not PEM")
    with pytest.raises(
        ConfigError, match=f"AIS_CLIENT_CA or tls.ca_file='{file}' holds no certificates"
    ):
        check_tls_files(TlsFiles(ca_file=str(file)), HTTPS)


@pytest.mark.parametrize("url", ["http://h", HTTPS])
def test_a_certificate_in_place_of_its_path_is_reported(url: str) -> None:
    """A file name cannot be so long, and the system reports that by a special error."""
    text = "-----BEGIN CERTIFICATE-----\n" + "A" * 5000
    with pytest.raises(ConfigError, match="no such file: '/.*-----BEGIN") as caught:
        check_tls_files(TlsFiles(ca_file=text), url)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("url", ["http://h", HTTPS])
def test_what_can_be_used_is_passed(
    url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a folder of authorities, a certificate with its key."""
    check_tls_files(TlsFiles(), url)
    cert, key = str(authority.certificate), str(authority.key)
    check_tls_files(TlsFiles(True, certifi.where(), cert, key), url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca.parent))
    check_tls_files(TlsFiles(), url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    check_tls_files(TlsFiles(), url)


@pytest.mark.parametrize(("url", "verify"), [("http://h", True), (HTTPS, False)])
def test_authorities_that_are_not_needed_are_not_read(
    url: str, verify: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is verified over http, nor where verification is off."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    check_tls_files(TlsFiles(verify=verify), url)


def test_a_certificate_without_its_key_is_reported(authority: Authority, tmp_path: Path) -> None:
    """It has no key, the key of another one, or a key with a password."""
    key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    other = make_authority(tmp_path).key
    for file in (None, str(other), str(locked)):
        with pytest.raises(ConfigError, match="the client's certificate .* cannot be used"):
            check_tls_files(TlsFiles(True, None, str(authority.certificate), file), HTTPS)


def test_a_key_without_its_certificate_is_reported(authority: Authority) -> None:
    """The server would see no certificate, and refuse the connection."""
    with pytest.raises(ConfigError, match="no certificate: set AIS_CRT"):
        check_tls_files(TlsFiles(client_key_file=str(authority.key)), HTTPS)
