"""URLs of requests: how they are split, and where redirects lead."""

from __future__ import annotations

import pytest

from aisio.errors import IntegrityError, StorageError
from aisio.transport.http.urls import (
    Hop,
    host_of,
    name_hint,
    origin_of,
    redirect_target,
    split_target,
    too_many_redirects,
    with_query,
)

WITH_TOKEN = {"User-Agent": "a", "Authorization": "Bearer s3cret"}


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://h/a/b?c=d", "http://h", "/a/b?c=d"),
        ("https://h:1/a", "https://h:1", "/a"),
        ("http://h", "http://h", "/"),
        ("http://h?a=b", "http://h", "/?a=b"),
        ("http://[::1]:8080/", "http://[::1]:8080", "/"),
    ],
)
def test_a_url_is_an_origin_and_a_target(url: str, origin: str, target: str) -> None:
    """The target begins with a slash, as RFC 9112 demands."""
    assert split_target(url) == (origin, target)
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("query", "url"),
    [
        (None, "http://h/a"),
        ({}, "http://h/a"),
        ({"b": "c d&", "e": "/"}, "http://h/a?b=c+d%26&e=%2F"),
    ],
)
def test_a_query_is_encoded(query: dict[str, str] | None, url: str) -> None:
    """Without parameters the URL stays as it is."""
    assert with_query("http://h/a", query) == url


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("http://t:1/v1/x", "http://t:1/v1/x"),
        ("/v1/there?pid=1", "http://h/v1/there?pid=1"),
        ("there", "http://h/v1/there"),
        ("http://h/t\tab and b%3F", "http://h/t%09ab%20and%20b%3F"),
        ("http://h/Gr\xc3\xbc\xc3\x9fe", "http://h/Gr%C3%BC%C3%9Fe"),
        ("http://h/x#part", "http://h/x"),
        ("http://h/x;?pid=1;", "http://h/x%3B?pid=1;"),
        ("/x;y;;", "http://h/x;y;%3B"),
    ],
)
def test_a_location_is_an_encoded_url(location: str, url: str) -> None:
    """AIStore leaves blanks and tabs as they are, and sends UTF-8; urllib.parse takes tabs out."""
    hop = Hop("http://h/v1/x", {})
    assert redirect_target(hop, 307, {"Location": location}, "ais://b/o").url == url


@pytest.mark.parametrize(
    ("location", "keeps_token"),
    [("/there", True), ("http://h/there", True), ("http://t/there", False), ("https://h/", False)],
)
def test_a_token_stays_with_its_origin(location: str, keeps_token: bool) -> None:
    """All other headers go along."""
    hop = redirect_target(Hop("http://h/x", WITH_TOKEN), 307, {"Location": location}, "ais://b/o")
    assert hop.headers == (WITH_TOKEN if keeps_token else {"User-Agent": "a"})


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, r"ais://b/o: redirected \(307\) without a Location"),
        ({"Location": "file:///etc/passwd"}, "ais://b/o: redirected to 'file:///etc/passwd'"),
        ({"Location": "http://[h/"}, "ais://b/o: redirected to"),
    ],
)
def test_a_redirect_to_nowhere_is_an_error(headers: dict[str, str], text: str) -> None:
    """No Location, or one that is not an http URL."""
    with pytest.raises(IntegrityError, match=text):
        redirect_target(Hop("http://h/x", {}), 307, headers, "ais://b/o")


def test_a_location_without_the_line_break_of_the_name_is_an_error() -> None:
    """AIStore writes a blank for it: another object would be read, replaced or deleted."""
    hop = Hop("http://h/a%0Ab", {})
    with pytest.raises(StorageError, match="without the line break"):
        redirect_target(hop, 307, {"Location": "/a b"}, "ais://b/o")
    assert redirect_target(hop, 307, {"Location": "/c%0ab"}, "ais://b/o").url == "http://h/c%0ab"


def test_the_error_for_a_redirect_loop_names_its_last_host() -> None:
    """Without a user name or password."""
    error = too_many_redirects("GET", "http://me:s3cret@t:1/x", "ais://b/o")
    assert str(error) == "GET ais://b/o: more than 3 redirects, the last to t:1"
    assert host_of("http://me:s3cret@t:1/x") == "t:1"


@pytest.mark.parametrize(
    ("name", "hint"), [("a?b=c", "sent as part of the name"), ("a%20b", "sent as %25"), ("a b", "")]
)
def test_a_name_that_was_copied_from_a_browser_gets_a_hint(name: str, hint: str) -> None:
    """It may be a URL's encoded text, or have a query."""
    assert hint in name_hint(name)
    assert bool(name_hint(name)) == bool(hint)
