"""Translations: other libraries' errors become aisio's, and say whose fault it is."""

from __future__ import annotations

import pytest
import requests
import urllib3

from aisio.errors import StorageError, StoreTimeoutError, UnavailableError
from aisio.translations import never_connected, translated


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
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_other_libraries_errors_become_ours(raised: Exception, kind: type[StorageError]) -> None:
    """Once, here, with operation, URL and host, and with theirs as the cause."""
    with (
        pytest.raises(kind, match="GET ais://b/o") as caught,
        translated("GET", "ais://b/o", "h:1"),
    ):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.url == "ais://b/o"
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("raised", "never"),
    [
        (urllib3.exceptions.NewConnectionError(None, "refused"), True),  # type: ignore[arg-type]
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
    with pytest.raises(StorageError) as caught, translated("GET", "ais://b/o", "h:1"):
        raise raised
    assert never_connected(caught.value) is never


def test_our_own_errors_pass_unchanged() -> None:
    """NotFoundError is an OSError too."""
    error = UnavailableError("mine")
    with pytest.raises(UnavailableError) as caught, translated("GET", "ais://b/o", "h:1"):
        raise error
    assert caught.value is error


def test_a_bug_is_not_disguised_as_a_network_error() -> None:
    """What is not theirs stays what it is."""
    with pytest.raises(ZeroDivisionError), translated("GET", "ais://b/o", "h:1"):
        raise ZeroDivisionError


def test_the_innermost_cause_is_the_one_that_is_told() -> None:
    """Not the wrappers, which show addresses of Python objects."""
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapper = urllib3.exceptions.ProtocolError("Connection broken", refused)
    with (
        pytest.raises(UnavailableError) as caught,
        translated("GET", "ais://b/o", "h:1"),
    ):
        raise requests.ConnectionError(wrapper)
    assert str(caught.value) == (
        "GET ais://b/o: no answer from h:1: ConnectionRefusedError: [Errno 111] Connection refused"
    )
