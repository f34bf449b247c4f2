"""URLs as requests need them: origin and request target, query strings, redirects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from aisio.errors import IntegrityError, StorageError
from aisio.urls import is_base_url
from aisio.wire.http1 import utf8_text

__all__ = [
    "Hop",
    "MAX_REDIRECTS",
    "REDIRECTS",
    "host_of",
    "name_hint",
    "origin_of",
    "redirect_target",
    "split_target",
    "too_many_redirects",
    "with_query",
]

MAX_REDIRECTS = 3
"""How many redirects of one request are followed."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses of responses that name another URL for the request."""

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_FINAL_SEMICOLON = re.compile(r"^([^?#]*);(?=[?#]|$)")
_LINE_BREAK = re.compile("%0[AaDd]")


def with_query(url: str, query: Mapping[str, str] | None) -> str:
    """Return a percent-encoded URL with query parameters; without any, the URL as it is."""
    return f"{url}?{_query_string(tuple(query.items()))}" if query else url


@lru_cache(maxsize=256)
def _query_string(query: tuple[tuple[str, str], ...]) -> str:
    return urlencode(query)


def origin_of(url: str) -> str:
    """Return scheme and host of a percent-encoded URL."""
    return split_target(url)[0]


def split_target(url: str) -> tuple[str, str]:
    """Split a percent-encoded URL into its origin and its request target: path and query."""
    path_at = url.find("/", 8)  # after "https://"; after "http://" a host has one letter at least
    if path_at < 0:
        query_at = url.find("?")
        return (url, "/") if query_at < 0 else (url[:query_at], "/" + url[query_at:])
    return url[:path_at], url[path_at:]


class Hop(NamedTuple):
    """Where a request goes: its URL, and the headers that go there."""

    url: str
    headers: Mapping[str, str]


def redirect_target(hop: Hop, status: int, headers: Mapping[str, str], about: str) -> Hop:
    """Return where a redirect leads; its headers have no token if the host changes.

    Args:
        hop: The request that was redirected.
        status: Status of the redirect.
        headers: Headers of the redirect.
        about: What errors name.

    Raises:
        IntegrityError: There is no Location, or it is not an http URL.
        StorageError: The Location lacks a line break of the object's name, and names another
            object: AIStore 5.0 writes a blank in its place (seen on a live cluster).
    """
    location, url = utf8_text(headers.get("Location") or ""), hop.url
    if not location:
        raise IntegrityError(f"{about}: redirected ({status}) without a Location", url=about)
    if len(_LINE_BREAK.findall(url)) > len(_LINE_BREAK.findall(location)):
        raise StorageError(f"{url}: redirected without the line break in its name; rename it")
    target = _requote_location(location)
    if not target.startswith(("http://", "https://")):
        try:
            target = urljoin(url, target)
        except ValueError:
            target = ""
    if not is_base_url(origin_of(target)):
        raise IntegrityError(
            f"{about}: redirected to {location[:200]!r}, which is no http URL", url=about
        )
    target = target.partition("#")[0]
    return Hop(target, _without_foreign_token(hop.headers, url, target))


def _requote_location(location: str) -> str:
    """Percent-encode what urllib.parse would remove: tabs, and a ";" at the end of the path."""
    location = _FINAL_SEMICOLON.sub(r"\1%3B", location)
    return _UNPRINTABLE.sub(lambda match: quote(match[0]), location)


def _without_foreign_token(
    headers: Mapping[str, str], old_url: str, new_url: str
) -> Mapping[str, str]:
    if origin_of(old_url) == origin_of(new_url):
        return headers
    return {name: value for name, value in headers.items() if name != "Authorization"}


def too_many_redirects(method: str, url: str, about: str) -> StorageError:
    """Return the error for a request that was redirected more than MAX_REDIRECTS times.

    Args:
        method: HTTP method of the request.
        url: Where the last redirect led.
        about: What the error names.
    """
    return StorageError(
        f"{method} {about}: more than {MAX_REDIRECTS} redirects, the last to {host_of(url)}",
        url=about,
    )


def name_hint(name: str) -> str:
    """Return what may be wrong with a name that a web server does not know; "" for nothing.

    People often copy addresses from a browser, but names in aisio are not percent-encoded.

    Args:
        name: The object's name, as the user gave it.
    """
    if "?" in name:
        return (
            "'?' and what follows it were sent as part of the name, as %3F..., never as a query: "
            "leave them out"
        )
    if "%" in name:
        return "names stand as they are: '%' was sent as %25, so write 'a b' and not 'a%20b'"
    return ""


def host_of(url: str) -> str:
    """Return host and port of a URL, without a user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2]
