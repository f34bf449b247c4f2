"""URLs as requests need them: cut in two, with a query, and where a redirect leads."""

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
    "REDIRECTS",
    "host_of",
    "name_hint",
    "origin_of",
    "query_text",
    "redirected",
    "split_target",
]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses of replies that say where else to ask."""

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_LINE_BREAK = re.compile("%0[AaDd]")


def query_text(query: Mapping[str, str]) -> str:
    """Return query parameters as they stand in a URL."""
    return _encoded(tuple(query.items()))


@lru_cache(maxsize=256)
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    return urlencode(query)


def origin_of(url: str) -> str:
    """Return scheme and host of a URL that has been encoded."""
    return split_target(url)[0]


def split_target(url: str) -> tuple[str, str]:
    """Cut a URL that has been encoded into scheme and host, and what its request asks for."""
    at = url.find("/", 8)  # behind "https://"; and behind "http://", where a host has one letter
    if at < 0:
        at = url.find("?")
        return (url, "/") if at < 0 else (url[:at], "/" + url[at:])
    return url[:at], url[at:]


class Hop(NamedTuple):
    """Where a request goes, and with which headers."""

    url: str
    headers: Mapping[str, str]


def redirected(hop: Hop, status: int, headers: Mapping[str, str], about: str) -> Hop:
    """Return where a redirect leads, and what goes along: not the token, where the host changes.

    What AIStore leaves as it is in a Location is percent-encoded: urllib.parse takes tabs out.

    Args:
        hop: What was redirected.
        status: Of the reply.
        headers: Likewise.
        about: What errors name.

    Raises:
        IntegrityError: It does not say, or what it says is no URL.
        StorageError: A line break of the name is gone, and this would hit another object: AIStore
            5.0 writes a blank in its place (seen on a live cluster).
    """
    where, url = utf8_text(headers.get("Location") or ""), hop.url
    if not where:
        raise IntegrityError(f"{about}: redirected ({status}) without a Location", url=about)
    if len(_LINE_BREAK.findall(url)) > len(_LINE_BREAK.findall(where)):
        raise StorageError(f"{url}: redirected without the line break in its name; rename it")
    try:
        target = urljoin(url, _UNPRINTABLE.sub(lambda match: quote(match[0]), where))
    except ValueError:
        target = ""
    if not is_base_url(origin_of(target)):
        raise IntegrityError(
            f"{about}: redirected to {where[:200]!r}, which is no http URL", url=about
        )
    target = target.partition("#")[0]
    return Hop(target, _headers_after(hop.headers, url, target))


def _headers_after(headers: Mapping[str, str], old_url: str, new_url: str) -> Mapping[str, str]:
    if urlsplit(old_url)[:2] == urlsplit(new_url)[:2]:
        return headers
    return {name: value for name, value in headers.items() if name != "Authorization"}


def name_hint(name: str) -> str:
    """Return what may be wrong with a name that a web server does not have; "" for nothing.

    Addresses are often copied from a browser, and names of aisio are no percent-encoded text.

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
    """Return the host and port of a URL, without a user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2]
