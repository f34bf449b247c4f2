"""Translations: other libraries' errors become aisio's, and say whose fault it is."""

from __future__ import annotations

import errno

import pytest
import requests
import urllib3
from urllib3.exceptions import NewConnectionError

from aisio.errors import AisioError, ConfigError, StorageError, StoreTimeoutError, UnavailableError
from aisio.transport.http.errors import never_connected, translation


def told(error: Exception, url: str = "") -> AisioError:
    """Return aisio's error for another, raised from it."""
    try:
        raise translation(error, "GET", "ais://b/o", "h:1", url) from error
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
    """Once, here, with operation and URL."""
    error = told(raised)
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
def test_no_connection_is_told_from_a_broken_one(raised: Exception, never: bool) -> None:
    """A host that cannot be reached is another matter than one that broke off."""
    error = told(raised)
    assert isinstance(error, StorageError)
    assert never_connected(error) is never


def test_the_innermost_cause_is_the_one_that_is_told() -> None:
    """Not the wrappers, which show addresses of Python objects."""
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapper = urllib3.exceptions.ProtocolError("Connection broken", refused)
    assert str(told(requests.ConnectionError(wrapper))) == (
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
        error = told(raised)
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
    """It is named, with the variables and without its password; a refusal for good is final."""
    for raised in (
        urllib3.exceptions.ProxyError("Unable to connect to proxy", reason),
        requests.exceptions.ProxyError(urllib3.exceptions.ProxyError("x", reason)),
    ):
        error = told(raised, "http://h:1/v1/x")
        assert type(error) is kind
        assert "the proxy squid:3128 (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY)" in str(error)
        assert "s3" not in str(error)


@pytest.mark.usefixtures("through_proxy")
def test_the_proxy_on_the_way_is_told() -> None:
    """A host that is silent may be one that the proxy cannot reach."""
    text = str(told(requests.ReadTimeout("x"), "http://h:1/v1/x"))
    assert "no bytes from h:1 by way of the proxy squid:3128 within the read timeout" in text
