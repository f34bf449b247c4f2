"""Whether the PEM files that TLS is to use can be used: said at once, as a wrong setting."""

from __future__ import annotations

import errno
import os
import ssl

from aisio.config import first_named
from aisio.errors import ConfigError
from aisio.records import TlsFiles

__all__ = ["check_tls_files"]

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What requests looks for, in its order, where no authorities were named."""

_LONGEST_SHOWN = 200
_OWN = "tls=, AIS_CLIENT_CA, AIS_CRT, AIS_CRT_KEY"


def check_tls_files(tls: TlsFiles, url: str) -> None:
    """Look for the files, and read them where the URL is https.

    Requests tells of a bad file with each request anew, as of a server that cannot be reached.

    Raises:
        ConfigError: A file is missing, or not what it is to be.
    """
    for file in (tls.ca_file, tls.client_cert_file, tls.client_key_file):
        # Unlike Path.exists, it raises for no text: not for a certificate itself either.
        if file and not os.path.exists(file):  # noqa: PTH110
            raise ConfigError(f"no such file: {file[:_LONGEST_SHOWN]!r} ({_OWN})")
    if not url.startswith("https:"):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.verify:
        _check_authorities(context, tls)
    if tls.client_cert_file:
        _check_certificate(context, tls.client_cert_file, tls.client_key_file)


def _check_authorities(context: ssl.SSLContext, tls: TlsFiles) -> None:
    named = ("AIS_CLIENT_CA or tls=", tls.ca_file) if tls.ca_file else first_named(*_BUNDLES)
    if named is None:
        return
    where, path = named
    try:
        if os.path.isdir(path):  # noqa: PTH112
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        shown = path[:_LONGEST_SHOWN]
        _tell(error, f"{where}={shown!r} holds no certificates of authorities in PEM form: {error}")


def _check_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        _tell(
            error,
            f"the client's certificate {cert!r} with the key in {key or cert!r} cannot be used "
            f"({_OWN}): {error}; both must be in PEM form, the key without a password",
        )


def _tell(error: Exception, text: str) -> None:
    # Of a process without file descriptors the request itself will say so.
    if getattr(error, "errno", None) not in (errno.EMFILE, errno.ENFILE):
        raise ConfigError(text) from error
