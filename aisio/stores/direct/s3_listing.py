"""Whether a listing of S3 is whole, and was a listing at all.

obstore takes from an answer what it knows, and the rest for nothing. So a listing ends without an
error where a web page comes instead, or an <Error> under status 200, or where there is more but no
token for it (IsTruncated beside version 1's NextMarker). Each looks like the end of a bucket.

So the end is looked at twice. The bucket is listed again from just before the last name on: an
answer that has that name is a listing, and what comes behind the name was left out, or is new.
Where there is no name at all, an answer to a request of ours shows whether the server speaks S3.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from aisio.errors import IntegrityError
from aisio.stores.direct.obstore_forks import obstore_here
from aisio.stores.direct.settings import DirectSettings, open_bucket
from aisio.transport.http.pools import keep_headers
from aisio.urls import ObjectUrl

_HEAD_BYTES = 64 * 1024
_PREAMBLE = re.compile(rb"<\?.*?\?>|<!--.*?-->|<![^>]*>|\s+|\xef\xbb\xbf", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)")
_UNSIGNED = {"access_key_id": "none", "secret_access_key": "none", "skip_signature": False}
_A_MINUTE = timedelta(minutes=1)
_SIGNED_OPTIONS = frozenset({"token", "session_token", "role_arn"})

_log = logging.getLogger(__name__)

_ListFrom = Callable[[str], Iterator[dict[str, Any]]]


class S3Listing:
    """A listing of an S3 bucket that is whole.

    Args:
        url: What is listed, for errors.
        list_from: Lists behind a text, "" for all, as obstore does.
        exists: Tells whether there is an object of a name.
        check: Raises where the server does not speak S3.
    """

    def __init__(
        self,
        url: ObjectUrl,
        list_from: _ListFrom,
        exists: Callable[[str], bool],
        check: Callable[[], None],
    ) -> None:
        self._url = url
        self._list_from = list_from
        self._exists = exists
        self._check = check

    def entries(self, start_after: str) -> Iterator[dict[str, Any]]:
        """Yield obstore's records of the names behind a text.

        Raises:
            IntegrityError: The store's listings are none, or cannot be gone on with.
        """
        last = ""
        for entry in self._list_from(start_after):
            path = entry["path"]
            if f"{path}/" < last:
                yield entry
                return  # Out of order, which the caller refuses.
            last = max(last, path)
            yield entry
        before = None
        while before != last:
            before = last
            for entry in self._behind(last) if last else self._list_from(start_after):
                last = max(last, entry["path"])
                yield entry
        if not last:
            self._check()

    def _behind(self, last: str) -> Iterator[dict[str, Any]]:
        """List again from just before a name on, and yield what is behind it."""
        start, seen = just_before(last).rstrip("/"), False  # obstore sends no "/" at the end
        for entry in self._list_from(start):
            path = entry["path"]
            # obstore shows the folder marker "a/", which is empty, as "a".
            if path <= start and (entry["size"] or f"{path}/" <= start):
                raise self._broken(f"asked for what is behind {start!r}, it sends {path!r}")
            if path > last:
                yield entry
            seen = seen or path >= last
        if not seen and self._exists(last):
            raise self._broken(f"asked for what is behind {start!r}, it does not send {last!r}")

    def _broken(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"list {self._url}: whether the listing is complete cannot be told: {what}; look at "
            f"what the endpoint answers to list-type=2 with start-after",
            url=str(self._url),
        )


def just_before(prefix: str) -> str:
    """Return a text that obstore can carry, before all names with the prefix and close to them."""
    folder, slash, start = prefix.rpartition("/")
    if not start:
        return ""
    code = ord(start[-1]) - 1
    usable = code >= 0x20 and code not in (0x2F, 0x7F) and not 0xD800 <= code <= 0xDFFF
    before = start[:-1] + (chr(code) if usable else "")
    return folder + slash + ("" if before in (".", "..") else before)


def check_speaks_s3(settings: DirectSettings, url: ObjectUrl) -> None:
    """Ask for a listing without credentials: S3 refuses, or sends one.

    Raises:
        IntegrityError: Something else comes with status 200.
    """
    address = _listing_address(settings, url)
    patience = settings.timeouts.connect_s, settings.timeouts.read_s
    try:
        with (
            requests.Session() as session,
            session.get(
                address,
                auth=keep_headers,
                verify=settings.tls.ca_file or settings.tls.verify,
                timeout=patience,
                stream=True,
            ) as reply,
        ):
            status, head = reply.status_code, next(reply.iter_content(_HEAD_BYTES), b"")
    except requests.RequestException as error:
        _log.warning(
            "list %s: there is nothing; whether %s speaks S3 could not be found out: %s",
            *(url, urlsplit(address).netloc, type(error).__name__),
        )
        return
    if status == 200 and _root(head) != "ListBucketResult":
        raise IntegrityError(
            f"list {url}: {urlsplit(address).netloc} sends <{_root(head) or '?'}> where S3 sends a "
            f"listing; is the endpoint that of the store?",
            url=str(url),
        )


def _listing_address(settings: DirectSettings, url: ObjectUrl) -> str:
    """Return the URL of a listing, as obstore makes it of the settings, less the signature."""
    options = {
        name: value
        for name, value in settings.options.items()
        if name.lower().removeprefix("aws_") not in _SIGNED_OPTIONS | _UNSIGNED.keys()
    }
    here = obstore_here()
    bucket = open_bucket(here, replace(settings, options=options | _UNSIGNED), url)
    signed: str = here.api.sign(bucket, "GET", "", _A_MINUTE)
    return urlunsplit(urlsplit(signed)._replace(query="list-type=2&max-keys=1"))


def _root(head: bytes) -> str:
    """Return the name of the first element of XML or HTML, "" for none."""
    position = 0
    while match := _PREAMBLE.match(head, position):
        position = match.end()
    found = _ROOT.match(head, position)
    return found[1].decode() if found else ""
