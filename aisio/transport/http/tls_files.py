"""Checks the PEM files for TLS before the first request: a bad one is a wrong setting."""

from __future__ import annotations

import errno
import os
import ssl

from aisio.config import first_item
from aisio.errors import ConfigError
from aisio.records import TlsFiles

__all__ = ["check_tls_files"]

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that requests reads, in its order, where the settings name no authorities."""

_MAX_SHOWN = 200
_SETTINGS = "tls=, AIS_CLIENT_CA, AIS_CRT, AIS_CRT_KEY"


def check_tls_files(tls: TlsFiles, url: str) -> None:
    """Check that the files exist, and for an https URL that they can be used.

    requests would report a bad file at each request, as a server that cannot be reached.

    Raises:
        ConfigError: A file is missing, or does not hold what it must.
    """
    for file in (tls.ca_file, tls.client_cert_file, tls.client_key_file):
        # Path.exists raises for some texts, as for a certificate in place of its path.
        if file and not os.path.exists(file):  # noqa: PTH110
            raise ConfigError(f"no such file: {file[:_MAX_SHOWN]!r} ({_SETTINGS})")
    if not url.startswith("https:"):
        return
    if tls.client_key_file and not tls.client_cert_file:
        raise ConfigError(
            "there is a client's private key (AIS_CRT_KEY or tls=), but no certificate: set AIS_CRT"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.verify:
        _check_authorities(context, tls)
    if tls.client_cert_file:
        _check_certificate(context, tls.client_cert_file, tls.client_key_file)


def _check_authorities(context: ssl.SSLContext, tls: TlsFiles) -> None:
    named = ("AIS_CLIENT_CA or tls.ca_file", tls.ca_file) if tls.ca_file else first_item(*_BUNDLES)
    if named is None:
        return
    setting, path = named
    try:
        if os.path.isdir(path):  # noqa: PTH112
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        shown = path[:_MAX_SHOWN]
        _raise_config_error(
            error, f"{setting}={shown!r} holds no certificates of authorities in PEM form: {error}"
        )


def _check_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    try:
        # Without this OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        _raise_config_error(
            error,
            f"the client's certificate {cert!r} with the key in {key or cert!r} cannot be used "
            f"({_SETTINGS}): {error}; both must be in PEM form, the key without a password",
        )


def _raise_config_error(error: Exception, text: str) -> None:
    # A process without file descriptors cannot open any file: the request will report that.
    if getattr(error, "errno", None) not in (errno.EMFILE, errno.ENFILE):
        raise ConfigError(text) from error
