"""Requests by https: plain errors, credentials that stay with their host, and spans."""

from __future__ import annotations

import traceback
from http.client import BadStatusLine
from typing import Any, cast

import pytest
import requests
from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError

from aisio.errors import IntegrityError, StorageError, StoreTimeoutError, UnavailableError
from aisio.records import Timeouts
from aisio.resources.origins.https import (
    TIMEOUTS,
    HttpsSession,
    file_headers,
    plain_errors,
    read_body,
    response_span,
)
from tests.http_server import Reply, Server


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (requests.ReadTimeout("/?secret"), StoreTimeoutError),
        (ReadTimeoutError(cast("Any", None), "/?secret", "late"), StoreTimeoutError),
        (requests.ConnectionError(MaxRetryError(cast("Any", None), "/?secret")), UnavailableError),
        (requests.TooManyRedirects("/?secret"), StorageError),
        (requests.exceptions.InvalidURL("/?secret"), StorageError),
        (requests.exceptions.InvalidSchema("/?secret"), StorageError),
        (ProtocolError("/?secret"), UnavailableError),
    ],
)
def test_no_error_shows_a_whole_url(raised: Exception, kind: type[StorageError]) -> None:
    """Not even as its cause: the query of a presigned URL is a credential."""
    with pytest.raises(kind) as caught, plain_errors("about", "ngc://model/a/b"):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.url == "ngc://model/a/b"
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_what_is_no_http_is_quoted_without_control_characters():
    """They could be a terminal's."""
    broken = requests.ConnectionError(BadStatusLine("\x1b[2J"))
    with pytest.raises(UnavailableError, match="BadStatusLine") as failure, plain_errors("x", "x"):
        raise broken
    assert str(failure.value).isprintable()


def get(http: HttpsSession, url: str, **headers: str) -> requests.Response:
    """Send a GET; "_" in a header's name stands for "-"."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return http.open(url, about="GET file", error_url="test://file", headers=named)


def read(got: requests.Response, max_bytes: int = 10**7, timeouts: Timeouts = TIMEOUTS) -> bytes:
    """Read its body."""
    return read_body(
        got, about="GET file", error_url="test://file", max_bytes=max_bytes, timeouts=timeouts
    )


def response(status: int, **headers: str) -> requests.Response:
    """Return a response without a body; "_" in a header's name stands for "-"."""
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return response


@pytest.mark.parametrize(
    ("status", "start", "length", "content_range", "span"),
    [
        (200, 0, "10", "", (0, 10)),
        (200, 0, "", "", (0, None)),
        (200, 4, "10", "", (0, 10)),
        (200, 4, "6", "bytes 4-9/10", (4, 10)),
        (200, 4, "10", "bytes 0-9/10", (0, 10)),
        (206, 4, "6", "bytes 4-9/10", (4, 10)),
        (206, 4, "", "bytes 4-9/*", (4, 10)),
        (206, 0, "10", "bytes 0-9/10", (0, 10)),
        (404, 4, "6", "bytes 4-9/10", None),
        (200, 0, "9" * 19, "", (0, None)),
    ],
)
def test_a_response_says_which_bytes_it_has(
    status: int, start: int, length: str, content_range: str, span: object
) -> None:
    """By its status and headers; servers without ranges send all."""
    headers = {"Content_Length": length, "Content_Range": content_range}
    assert response_span(response(status, **headers), start, "GET file", "test://file") == span


@pytest.mark.parametrize(
    ("status", "length", "content_range"),
    [
        (206, "6", ""),
        (206, "6", "bytes 3-9/10"),
        (206, "5", "bytes 4-9/10"),
        (206, "6", "bytes 4-9/11"),
        (200, "6", "bytes 0-5/10"),
        (206, "6", "items 4-9/10"),
    ],
)
def test_other_bytes_than_requested_are_refused(
    status: int, length: str, content_range: str
) -> None:
    """The bytes of two ranges must not mix."""
    headers = {"Content_Length": length, "Content_Range": content_range}
    with pytest.raises(IntegrityError, match="requested all bytes from 4 on") as caught:
        response_span(response(status, **headers), 4, "GET file", "test://file")
    assert caught.value.url == "test://file"


def test_a_request_for_a_whole_file_has_no_range() -> None:
    """The bytes are counted as they are on the wire, so they must not be compressed."""
    assert file_headers(0) == {"Accept-Encoding": "identity"}
    assert file_headers(5) == {"Accept-Encoding": "identity", "Range": "bytes=5-"}


def test_a_session_sends_nothing_without_tls() -> None:
    """Unless it is allowed to."""
    with Server(Reply(200, b"body")) as server:
        with HttpsSession() as http, pytest.raises(StorageError, match="not https"):
            get(http, server.url)
        assert server.requests == []
        with HttpsSession(allow_http=True) as http:
            assert get(http, server.url).content == b"body"


@pytest.mark.parametrize(("host", "is_kept"), [("127.0.0.1", True), ("localhost", False)])
def test_a_redirect_to_another_host_loses_the_credentials(host: str, is_kept: bool) -> None:
    """Of the headers that the session knows as such; others stay."""
    with Server(Reply(200)) as target, Server() as server:
        location = target.url.replace("127.0.0.1", host) if host != "127.0.0.1" else "/there"
        server.replies = [Reply(302, b"", {"Location": location}), Reply(200)]
        with HttpsSession(credential_headers=("X-Key",), allow_http=True) as http:
            get(http, server.url, X_Key="secret", X_Other="kept").close()
        last = (server if is_kept else target).requests[-1]
    assert last.headers["X-Key"] == ("secret" if is_kept else None)
    assert last.headers["X-Other"] == "kept"


def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    """It would fill the memory."""
    with Server(Reply(200, b"12345"), Reply(200, b"123456")) as server:
        with (
            HttpsSession(allow_http=True) as http,
            get(http, server.url) as got,
        ):
            assert read(got, max_bytes=5) == b"12345"
        with (
            HttpsSession(allow_http=True) as http,
            get(http, server.url) as got,
            pytest.raises(StorageError, match="longer than 5 bytes"),
        ):
            read(got, max_bytes=5)


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    """By the low-speed limit, here one that no network reaches."""
    impossible = Timeouts(read_s=0.001, least_bytes_per_s=10**15, slow_s=1e-9)
    with (
        Server(Reply(200, bytes(10**6))) as server,
        HttpsSession(allow_http=True) as http,
        get(http, server.url) as got,
        pytest.raises(StoreTimeoutError, match="too slowly"),
    ):
        read(got, timeouts=impossible)
