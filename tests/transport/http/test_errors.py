"""Errors of requests, urllib3 and sockets become aisio's, and say whose fault it is."""

from __future__ import annotations

import errno
import ssl

import pytest
import requests
import urllib3
from urllib3.exceptions import NewConnectionError

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
)
from aisio.transport.http.errors import never_connected, retry_after_s, translate_error


def translated(error: Exception, url: str = "") -> AisioError:
    """Return aisio's error for another, raised from it."""
    try:
        raise translate_error(error, "GET", "ais://b/o", "h:1", url) from error
    except AisioError as raised:
        return raised


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (requests.ConnectionError("x"), UnavailableError),
        (requests.exceptions.ChunkedEncodingError("x"), UnavailableError),
        (urllib3.exceptions.ProtocolError("x"), UnavailableError),
        (ConnectionResetError("x"), UnavailableError),
        (requests.ConnectTimeout("x"), StoreTimeoutError),
        (requests.ReadTimeout("x"), StoreTimeoutError),
        (requests.TooManyRedirects("x"), StorageError),
        (requests.exceptions.InvalidURL("x"), StorageError),
        (requests.exceptions.InvalidSchema("x"), StorageError),
        (urllib3.exceptions.LocationParseError("x"), StorageError),
        (requests.exceptions.InvalidProxyURL("x"), ConfigError),
        (urllib3.exceptions.ProxySchemeUnknown("ftp"), ConfigError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_other_libraries_errors_become_ours(raised: Exception, kind: type[AisioError]) -> None:
    """They have the method and the URL of the object."""
    error = translated(raised)
    assert type(error) is kind
    assert error.url == "ais://b/o"
    assert "GET ais://b/o" in str(error)


@pytest.mark.parametrize(
    ("raised", "never"),
    [
        (NewConnectionError(None, "refused"), True),  # type: ignore[arg-type]
        (urllib3.exceptions.ConnectTimeoutError("x"), True),
        (requests.ConnectTimeout("x"), True),
        (requests.ReadTimeout("x"), False),
        (urllib3.exceptions.ProtocolError("x"), False),
        (ConnectionResetError("x"), False),
    ],
    ids=repr,
)
def test_no_connection_differs_from_a_broken_one(raised: Exception, never: bool) -> None:
    """A host that cannot be reached is treated differently from one that broke off."""
    error = translated(raised)
    assert isinstance(error, StorageError)
    assert never_connected(error) is never


def test_the_innermost_cause_is_named() -> None:
    """Not the wrappers, which show addresses of Python objects."""
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapper = urllib3.exceptions.ProtocolError("Connection broken", refused)
    assert str(translated(requests.ConnectionError(wrapper))) == (
        "GET ais://b/o: no answer from h:1: ConnectionRefusedError: [Errno 111] Connection refused"
    )


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EMFILE, "ulimit -n"), (errno.ENFILE, "file-max")]
)
def test_a_lack_of_file_descriptors_is_this_machines_own(number: int, advice: str) -> None:
    """No host failed to answer, no target is to be avoided, and waiting does not help."""
    connection = NewConnectionError(None, "x")  # type: ignore[arg-type]
    connection.__cause__ = OSError(number, "Too many open files")
    for raised in (connection, requests.ConnectionError(connection), OSError(number, "x")):
        error = translated(raised)
        assert type(error) is StorageError
        assert advice in str(error)
        assert "no answer" not in str(error)
        assert not never_connected(error)


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a proxy, with a password, for http."""
    for name in ("no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://me:s3/cr@t@squid:3128/")


@pytest.mark.usefixtures("through_proxy")
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (ConnectionRefusedError(111, "Connection refused"), UnavailableError),
        (OSError("Tunnel connection failed: 503 Service Unavailable"), UnavailableError),
        (OSError("Tunnel connection failed: 407 Proxy Authentication Required"), StorageError),
    ],
)
def test_a_proxys_fault_is_the_proxys(reason: Exception, kind: type[StorageError]) -> None:
    """The error names it and its variables, without its password; a 4xx is final."""
    for raised in (
        urllib3.exceptions.ProxyError("Unable to connect to proxy", reason),
        requests.exceptions.ProxyError(urllib3.exceptions.ProxyError("x", reason)),
    ):
        error = translated(raised, "http://h:1/v1/x")
        assert type(error) is kind
        assert "the proxy squid:3128 (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY)" in str(error)
        assert "s3" not in str(error)


@pytest.mark.usefixtures("through_proxy")
def test_the_proxy_on_the_way_is_named() -> None:
    """A host that is silent may be one that the proxy cannot reach."""
    text = str(translated(requests.ReadTimeout("x"), "http://h:1/v1/x"))
    assert "no bytes from h:1 by way of the proxy squid:3128 within the read timeout" in text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": " 120 "}, 120.0),
        (
            {
                "Retry-After": "Fri, 20 Nov 2026 22:38:48 GMT",
                "Date": "Fri, 20 Nov 2026 22:38:18 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Fri, 20 Nov 2026 22:38:18 GMT",
                "Date": "Fri, 20 Nov 2026 22:38:48 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Fri, 20 Nov 2026 22:38:48 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "Fri, 20 Nov 99999999999999999999 22:38:48 GMT"}, None),
        ({"Retry-After": "\u00b2"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    """A date counts from the Date of the response, because clocks differ."""
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "is https:// right"),
        ("unable to get local issuer certificate", "set AIS_CLIENT_CA"),
        ("IP address mismatch, certificate is not valid for '10.0.0.1'.", "another name"),
        ("Hostname mismatch, certificate is not valid for 'node-1'.", "host_net.hostname"),
        ("certificate verify failed: certificate has expired", "the server needs a new"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert", "set AIS_CRT and AIS_CRT_KEY"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", "set AIS_CRT and AIS_CRT_KEY"),
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert", "set AIS_CRT and AIS_CRT_KEY"),
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] handshake", "set AIS_CRT and AIS_CRT_KEY"),
    ],
)
def test_an_error_of_tls_says_what_to_set(reason: str, hint: str) -> None:
    """No retry changes it."""
    error = translated(urllib3.exceptions.SSLError(ssl.SSLError(reason)))
    assert type(error) is AccessError
    assert hint in str(error)
