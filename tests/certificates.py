"""Certificates for tests of https: an authority, a server's certificate and a client's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from aisio.records import TlsFiles

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Certificates(NamedTuple):
    """Paths of PEM files.

    Attributes:
        authority: The certificate of the authority, which is in no system's list.
        server: A certificate for 127.0.0.1 and localhost.
        server_key: Its private key.
        client: A certificate for a client.
        client_key: Its private key.
    """

    authority: str
    server: str
    server_key: str
    client: str
    client_key: str

    @property
    def tls(self) -> TlsFiles:
        """The settings of a client that has a certificate."""
        return TlsFiles(
            ca_file=self.authority,
            client_cert_file=self.client,
            client_key_file=self.client_key,
        )

    @property
    def tls_pair(self) -> tuple[str, str]:
        """The client's certificate and key, as requests takes them."""
        return self.client, self.client_key


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and what it signs; skip the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes certificates, is not on PATH")
    ca, ca_key = str(folder / "ca.pem"), str(folder / "ca.key")
    name = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl("req", "-x509", *_KEY, "-days", "2", *name, "-out", ca, "-keyout", ca_key)
    files = [ca]
    for owner in ("server", "client"):
        cert, key = str(folder / f"{owner}.pem"), str(folder / f"{owner}.key")
        request, extensions = str(folder / f"{owner}.csr"), folder / f"{owner}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl("req", *_KEY, "-subj", f"/CN={owner}", "-out", request, "-keyout", key)
        signed_by = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2"]
        _openssl(
            "x509", "-req", "-in", request, *signed_by, "-extfile", str(extensions), "-out", cert
        )
        files += [cert, key]
    return Certificates(*files)


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
