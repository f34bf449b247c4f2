"""S3Listing: checks that a listing of S3 is complete, and that it is a listing at all.

obstore ignores what it does not know in a response. So a listing ends without an error if the
server sends a web page, or an <Error> with status 200, or a page that is not the last one but has
no token for the next (IsTruncated with the NextMarker of version 1). Each of these looks like the
end of the bucket.

So the end is checked. The bucket is listed again from just before the last name on. A response with
that name is a listing, and names after it had been left out, or are new. If the listing has no name
at all, aisio itself sends a request, whose response shows whether the server speaks S3.
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
from aisio.stores.direct.obstore_forks import current_obstore
from aisio.stores.direct.settings import DirectSettings, open_bucket
from aisio.transport.http.pools import keep_headers
from aisio.urls import ObjectUrl

_HEAD_BYTES = 64 * 1024
_PREAMBLE = re.compile(rb"<\?.*?\?>|<!--.*?-->|<![^>]*>|\s+|\xef\xbb\xbf", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)")
_FAKE_KEYS = {"access_key_id": "none", "secret_access_key": "none", "skip_signature": False}
_URL_LIFETIME = timedelta(minutes=1)
_CREDENTIAL_OPTIONS = frozenset({"token", "session_token", "role_arn"})

_log = logging.getLogger(__name__)

_ListAfter = Callable[[str], Iterator[dict[str, Any]]]


class S3Listing:
    """A complete listing of an S3 bucket.

    Args:
        url: The bucket and prefix, for errors.
        list_after: Lists the names after a text, "" for all, as obstore does.
        exists: Tells whether the object of a name exists.
        check_server: Raises if the server does not speak S3.
    """

    def __init__(
        self,
        url: ObjectUrl,
        list_after: _ListAfter,
        exists: Callable[[str], bool],
        check_server: Callable[[], None],
    ) -> None:
        self._url = url
        self._list_after = list_after
        self._exists = exists
        self._check_server = check_server

    def entries(self, start_after: str) -> Iterator[dict[str, Any]]:
        """Yield obstore's records of the names after a text.

        Raises:
            IntegrityError: The store sends no listings, or does not continue them after a name.
        """
        last = ""
        for entry in self._list_after(start_after):
            path = entry["path"]
            if f"{path}/" < last:
                yield entry
                return  # The caller refuses a listing that is out of order.
            last = max(last, path)
            yield entry
        before = None
        while before != last:
            before = last
            for entry in self._after(last) if last else self._list_after(start_after):
                last = max(last, entry["path"])
                yield entry
        if not last:
            self._check_server()

    def _after(self, last: str) -> Iterator[dict[str, Any]]:
        """List again from just before a name on, and yield the names after it."""
        start, seen = just_before(last).rstrip("/"), False  # obstore drops a "/" at the end
        for entry in self._list_after(start):
            path = entry["path"]
            # obstore lists the empty folder marker "a/" as "a".
            if path <= start and (entry["size"] or f"{path}/" <= start):
                raise self._broken(f"asked for names after {start!r}, it sends {path!r}")
            if path > last:
                yield entry
            seen = seen or path >= last
        if not seen and self._exists(last):
            raise self._broken(f"asked for names after {start!r}, it does not send {last!r}")

    def _broken(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"list {self._url}: whether the listing is complete cannot be told: {what}; look at "
            f"what the endpoint answers to list-type=2 with start-after",
            url=str(self._url),
        )


def just_before(prefix: str) -> str:
    """Return a text that sorts just before all names with a prefix, and that obstore can send."""
    folder, slash, start = prefix.rpartition("/")
    if not start:
        return ""
    code = ord(start[-1]) - 1
    usable = code >= 0x20 and code not in (0x2F, 0x7F) and not 0xD800 <= code <= 0xDFFF
    before = start[:-1] + (chr(code) if usable else "")
    return folder + slash + ("" if before in (".", "..") else before)


def check_speaks_s3(settings: DirectSettings, url: ObjectUrl) -> None:
    """Request a listing without credentials: S3 refuses it, or sends one.

    Raises:
        IntegrityError: Something else comes with status 200.
    """
    address = _listing_address(settings, url)
    timeouts = settings.timeouts.connect_s, settings.timeouts.read_s
    try:
        with (
            requests.Session() as session,
            session.get(
                address,
                auth=keep_headers,
                verify=settings.tls.ca_file or settings.tls.verify,
                timeout=timeouts,
                stream=True,
            ) as response,
        ):
            status, head = response.status_code, next(response.iter_content(_HEAD_BYTES), b"")
    except requests.RequestException as error:
        _log.warning(
            "list %s: the bucket looks empty, but aisio could not check whether %s speaks S3: %s",
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
    """Return the URL of a listing, as obstore makes it by the settings, without the signature."""
    options = {
        name: value
        for name, value in settings.options.items()
        if name.lower().removeprefix("aws_") not in _CREDENTIAL_OPTIONS | _FAKE_KEYS.keys()
    }
    obstore = current_obstore()
    bucket = open_bucket(obstore, replace(settings, options=options | _FAKE_KEYS), url)
    signed: str = obstore.api.sign(bucket, "GET", "", _URL_LIFETIME)
    return urlunsplit(urlsplit(signed)._replace(query="list-type=2&max-keys=1"))


def _root(head: bytes) -> str:
    """Return the name of the root element of XML or HTML; "" if there is none."""
    position = 0
    while match := _PREAMBLE.match(head, position):
        position = match.end()
    root = _ROOT.match(head, position)
    return root[1].decode() if root else ""
