"""Translates the errors of requests, urllib3 and sockets into aisio's own, in this one place."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    ReadTimeoutError,
    SSLError,
)

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
)
from aisio.escapes import one_line
from aisio.wire.http1 import whole_number

__all__ = [
    "LIBRARY_ERRORS",
    "NO_CONNECTION",
    "PROXY_ERRORS",
    "never_connected",
    "reason_of",
    "retry_after_s",
    "translate_error",
]

LIBRARY_ERRORS: tuple[type[Exception], ...] = (requests.RequestException, HTTPError, OSError)
"""What requests, urllib3 and sockets raise."""

NO_CONNECTION: tuple[type[Exception], ...] = (
    NewConnectionError,
    ConnectTimeoutError,
    requests.ConnectTimeout,
)
"""Those of LIBRARY_ERRORS that mean that no connection was made."""

PROXY_ERRORS: tuple[type[Exception], ...] = (requests.exceptions.ProxyError, ProxyError)
"""Those of LIBRARY_ERRORS that mean that an HTTP proxy cannot be reached, or refuses."""

_MAX_RETRY_AFTER_S = 24 * 3600.0
_TLS_HINTS: Mapping[str, str] = {
    # OpenSSL says so if the first record is not TLS, as from a server that speaks plain http.
    "WRONG_VERSION_NUMBER": "the server may speak plain http: is https:// right?",
    "not valid for|match": "its certificate has another name: use a URL with that name (that of a "
    "cluster's node is its host_net.hostname)",
    "certificate has expired": "the server needs a new certificate",
    "ALERT_(CERTIFICATE_REQUIRED|UNKNOWN_CA|HANDSHAKE_FAILURE|.*BAD_CERTIFICATE|"
    "CERTIFICATE_(EXPIRED|UNKNOWN))": "the server demands a client's certificate that it trusts: "
    "set AIS_CRT and AIS_CRT_KEY",
}
"""What to do about texts of OpenSSL, by patterns of them; the first that matches counts."""

_PROXY_VARIABLES = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
_NO_FILE_DESCRIPTORS = {
    errno.EMFILE: "this process has no file descriptor left: raise its limit (ulimit -n), or keep "
    "fewer files and unread objects open at once",
    errno.ENFILE: "this machine has no file descriptor left: close what holds them, or raise its "
    "limit (on Linux fs.file-max)",
}


def translate_error(
    error: Exception, method: str, about: str, host: str, url: str = ""
) -> AisioError:
    """Return aisio's error for one of LIBRARY_ERRORS.

    Args:
        error: The library's error.
        method: HTTP method of the request.
        about: URL of the object or bucket, for the message.
        host: Host and port that the request was for.
        url: The requested URL: if an HTTP proxy leads there, the message names it, without its
            password.
    """
    what = f"{method} {about}"
    advice = _NO_FILE_DESCRIPTORS.get(getattr(_innermost(error), "errno", None) or 0)
    if advice is not None:
        return StorageError(f"{what}: {advice}", url=about)
    proxy = _proxy_to(url)
    if isinstance(error, (requests.exceptions.InvalidProxyURL, ProxySchemeUnknown)):
        return ConfigError(f"{what}: {_PROXY_VARIABLES} is not the URL of a proxy", url=about)
    if isinstance(error, PROXY_ERRORS):
        return _proxy_error(what, about, host, proxy, error)
    route = f"{host} by way of the proxy {proxy}" if proxy else host
    return _host_error(what, about, route, error)


def _host_error(what: str, about: str, host: str, error: Exception) -> StorageError:
    if isinstance(error, NewConnectionError):
        # Refused or not resolved. It comes first: urllib3 makes it a kind of timeout.
        return _unavailable(what, about, host, error)
    if isinstance(error, (requests.ConnectTimeout, ConnectTimeoutError)):
        return StoreTimeoutError(
            f"{what}: no connection to {host} within the connect timeout", url=about
        )
    if isinstance(error, (requests.ReadTimeout, ReadTimeoutError)):
        return StoreTimeoutError(f"{what}: no bytes from {host} within the read timeout", url=about)
    if isinstance(error, (requests.exceptions.SSLError, SSLError)):
        reason = reason_of(error)
        return AccessError(
            f"{what}: TLS with {host} failed: {reason}; {_tls_hint(reason)}", url=about
        )
    if isinstance(error, requests.TooManyRedirects):
        return StorageError(f"{what}: {error}", url=about)
    return _unavailable(what, about, host, error)


def _tls_hint(reason: str) -> str:
    """Return what to do about an error of OpenSSL."""
    hints = (hint for pattern, hint in _TLS_HINTS.items() if re.search(pattern, reason))
    return next(hints, "set AIS_CLIENT_CA to the authority's PEM file")


def _proxy_error(what: str, about: str, host: str, proxy: str, error: Exception) -> StorageError:
    """Return an error that names the proxy; a refusal with a status of 4xx is not retried."""
    reason = reason_of(error)
    kind = StorageError if "Tunnel connection failed: 4" in reason else UnavailableError
    return kind(
        f"{what}: the proxy {proxy} ({_PROXY_VARIABLES}), which is to lead to {host}, failed: "
        f"{reason}",
        url=about,
    )


def _proxy_to(url: str) -> str:
    """Return host and port of the HTTP proxy that the environment has for a URL; "" for none."""
    proxy = select_proxy(url, get_environ_proxies(url)) if url else None
    if not proxy:
        return ""
    without_password = str(proxy).rpartition("@")[2]
    return (without_password.partition("://")[2] or without_password).partition("/")[0]


def never_connected(error: StorageError) -> bool:
    """Return whether an error of `translate_error` means that no connection was made."""
    is_of_network = isinstance(error, (UnavailableError, StoreTimeoutError))
    return is_of_network and isinstance(error.__cause__, NO_CONNECTION)


def _unavailable(what: str, about: str, host: str, error: Exception) -> StorageError:
    # Those that are also ValueErrors mean that a URL or a proxy is malformed: no retry helps.
    kind = StorageError if isinstance(error, ValueError) else UnavailableError
    return kind(f"{what}: no answer from {host}: {reason_of(error)}", url=about)


def reason_of(error: BaseException) -> str:
    """Return type and text of the innermost cause: urllib3 and requests wrap it several times."""
    inner = _innermost(error)
    return one_line(f"{type(inner).__name__}: {inner}".rstrip())


def _innermost(error: BaseException) -> BaseException:
    inner = error
    while True:
        causes = (getattr(inner, "reason", None), *inner.args, inner.__cause__)
        nested = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if nested is None:
            return inner
        inner = nested


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header; None if there is none that can be read.

    A date is taken relative to the response's own Date.

    Source:
        RFC 9110, section 10.2.3.
    """
    text = headers.get("Retry-After", "").strip()
    seconds = whole_number(text)
    if seconds is not None:
        return min(float(seconds), _MAX_RETRY_AFTER_S)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("Date", ""))
        return min(max(0.0, (then - now).total_seconds()), _MAX_RETRY_AFTER_S)
    except (ValueError, TypeError, OverflowError):
        return None
