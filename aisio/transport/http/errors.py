"""Other libraries' errors as aisio's own, in this one place."""

from __future__ import annotations

import errno
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
    "FOREIGN",
    "NO_CONNECTION",
    "PROXY_ERRORS",
    "never_connected",
    "reason_of",
    "translation",
]

FOREIGN: tuple[type[Exception], ...] = (requests.RequestException, HTTPError, OSError)
"""What requests, urllib3 and sockets raise."""

NO_CONNECTION: tuple[type[Exception], ...] = (
    NewConnectionError,
    ConnectTimeoutError,
    requests.ConnectTimeout,
)
"""Those of them which mean that no connection came about."""

PROXY_ERRORS: tuple[type[Exception], ...] = (requests.exceptions.ProxyError, ProxyError)
"""Those of them which mean that an HTTP proxy cannot be reached, or does not lead on."""

_PROXY_VARIABLES = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
_NO_FILES_LEFT = {
    errno.EMFILE: "this process has no file descriptor left: raise its limit (ulimit -n), or keep "
    "fewer files and unread objects open at once",
    errno.ENFILE: "this machine has no file descriptor left: close what holds them, or raise its "
    "limit (on Linux fs.file-max)",
}


def translation(error: Exception, method: str, about: str, host: str, url: str = "") -> AisioError:
    """Return aisio's error for one of FOREIGN.

    Args:
        error: Theirs.
        method: What was tried, for the text.
        about: On which object or bucket.
        host: With whom.
        url: What was asked of it: an HTTP proxy that leads there is named, without a password.
    """
    what = f"{method} {about}"
    left = _NO_FILES_LEFT.get(getattr(_innermost(error), "errno", None) or 0)
    if left is not None:
        return StorageError(f"{what}: {left}", url=about)
    proxy = _proxy_to(url)
    if isinstance(error, (requests.exceptions.InvalidProxyURL, ProxySchemeUnknown)):
        return ConfigError(f"{what}: {_PROXY_VARIABLES} is not the URL of a proxy", url=about)
    if isinstance(error, PROXY_ERRORS):
        return _proxy_error(what, about, host, proxy, error)
    way = f"{host} by way of the proxy {proxy}" if proxy else host
    return _direct_error(what, about, way, error)


def _direct_error(what: str, about: str, host: str, error: Exception) -> StorageError:
    if isinstance(error, NewConnectionError):
        # Refused or unresolved; urllib3 counts it among the timeouts.
        return _unavailable(what, about, host, error)
    if isinstance(error, (requests.ConnectTimeout, ConnectTimeoutError)):
        return StoreTimeoutError(
            f"{what}: no connection to {host} within the connect timeout", url=about
        )
    if isinstance(error, (requests.ReadTimeout, ReadTimeoutError)):
        return StoreTimeoutError(f"{what}: no bytes from {host} within the read timeout", url=about)
    if isinstance(error, (requests.exceptions.SSLError, SSLError)):
        reason = reason_of(error)
        # OpenSSL's name for a first record that is not TLS, as of a server that speaks plain http.
        if "WRONG_VERSION_NUMBER" in reason:
            help_ = "the server may speak plain http: is https:// right?"
        else:
            help_ = "set AIS_CLIENT_CA to the authority's PEM file"
        return AccessError(f"{what}: TLS with {host} failed: {reason}; {help_}", url=about)
    if isinstance(error, requests.TooManyRedirects):
        return StorageError(f"{what}: {error}", url=about)
    return _unavailable(what, about, host, error)


def _proxy_error(what: str, about: str, host: str, proxy: str, error: Exception) -> StorageError:
    """Say that it is the proxy which fails; what it refuses for good is not tried again."""
    reason = reason_of(error)
    kind = StorageError if "Tunnel connection failed: 4" in reason else UnavailableError
    return kind(
        f"{what}: the proxy {proxy} ({_PROXY_VARIABLES}), which is to lead to {host}, failed: "
        f"{reason}",
        url=about,
    )


def _proxy_to(url: str) -> str:
    """Return host and port of the environment's HTTP proxy to a URL; "" for none."""
    proxy = select_proxy(url, get_environ_proxies(url)) if url else None
    if not proxy:
        return ""
    bare = str(proxy).rpartition("@")[2]  # before it stand a user name and a password
    return (bare.partition("://")[2] or bare).partition("/")[0]


def never_connected(error: StorageError) -> bool:
    """Tell whether an error of `translation` means that no connection came about."""
    is_networks = isinstance(error, (UnavailableError, StoreTimeoutError))
    return is_networks and isinstance(error.__cause__, NO_CONNECTION)


def _unavailable(what: str, about: str, host: str, error: Exception) -> StorageError:
    # Theirs that are also ValueErrors say that a URL or proxy cannot be meant: no retry helps.
    kind = StorageError if isinstance(error, ValueError) else UnavailableError
    return kind(f"{what}: no answer from {host}: {reason_of(error)}", url=about)


def reason_of(error: BaseException) -> str:
    """Name the innermost cause: urllib3 and requests wrap it several times."""
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


_LONGEST_RETRY_AFTER_S = 24 * 3600.0


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date, which is taken relative to the reply's own Date.

    Source:
        RFC 9110, section 10.2.3.
    """
    text = headers.get("Retry-After", "").strip()
    seconds = whole_number(text)
    if seconds is not None:
        return min(float(seconds), _LONGEST_RETRY_AFTER_S)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("Date", ""))
        return min(max(0.0, (then - now).total_seconds()), _LONGEST_RETRY_AFTER_S)
    except (ValueError, TypeError, OverflowError):
        return None
