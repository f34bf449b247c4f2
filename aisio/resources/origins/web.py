"""A file of a web server as an origin: by `requests`, which is always there, and not by obstore.

Names stand as they are, as in all URLs of aisio: they are quoted on the way, and never a query.
Nobody's credentials are sent, neither ~/.netrc's nor along a redirect.

Source:
    RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 15.5.17 (416).
"""

from __future__ import annotations

import re
from urllib.parse import quote

import requests

from aisio.errors import AccessError, StorageError
from aisio.records import ByteRange, ObjectInfo, RetryPolicy, Timeouts
from aisio.resources.origins.body_reply import BodyReply, PromptBody
from aisio.resources.origins.https import TIMEOUTS, HttpsSession, plainly_told, span_of
from aisio.transport.body import Body
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, slowest_head_s
from aisio.transport.http.urls import name_hint
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts, retry
from aisio.urls import ObjectUrl
from aisio.wire.messages import error_for

# What can be sent back: RFC 9110, section 8.8.3, in ASCII.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


class WebOrigin:
    """A file of a web server; see `aisio.resources.download.download.Origin`.

    Args:
        url: https:// or http://.
        policy: For what may pass by itself; the default policy if None.
        timeouts: Per request, and the least rate of a body.

    Attributes:
        url: For messages: without a password before the host, and without what follows a "?".
    """

    def __init__(
        self, url: str, policy: RetryPolicy | None = None, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self.url = _shown(url)
        self._given_url = url
        self._policy = policy or RetryPolicy()
        self._timeouts = timeouts
        self._etag = ""

    def __repr__(self) -> str:
        return f"WebOrigin({self.url!r})"

    def open(self, start: int = 0) -> BodyReply:
        """Open the file from a byte on; from 0 where it has no such byte, or there are no ranges.

        Raises:
            UrlError: The URL names no file of a web server.
            IntegrityError: Other bytes come than were asked for.
            StorageError: As the status says, or the server cannot be reached; after some tries.
        """
        return retry(lambda: self._open(start), Attempts(self._policy))

    def _open(self, start: int) -> BodyReply:
        response = self._ask(start)
        try:
            if start and response.status_code == 416:  # it became shorter
                response.close()
                start, response = 0, self._ask(0)
            return self._reply(response, start)
        except BaseException:
            response.close()
            raise

    def _ask(self, start: int) -> requests.Response:
        url = ObjectUrl.parse(self._given_url).require_object()
        # Identity: the bytes are counted as they are on the wire.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = str(ByteRange(start))
        if start and self._etag:
            headers["If-Range"] = self._etag
        waits = self._timeouts.connect_s, self._timeouts.read_s
        with plainly_told(f"GET {self.url}", self.url), HttpsSession(self._timeouts) as http:
            if url.provider == "http":
                http.mount("http://", HeadDeadlineAdapter(1, slowest_head_s(self._timeouts)))
            # The session lets go of its connections; the reply keeps its own.
            return http.get(
                f"{url.root}/{quote(url.name)}", headers=headers, timeout=waits, stream=True
            )

    def _reply(self, response: requests.Response, start: int) -> BodyReply:
        span = span_of(response, start, f"GET {self.url}", self.url)
        if span is None:
            raise self._refusal(response)
        start, size = span
        etag = response.headers.get("ETag", "")
        self._etag = etag if _STRONG_ETAG.fullmatch(etag) else ""
        root, _, name = self.url.rpartition("/")
        info = ObjectInfo(root, name, size, etag=etag.strip('"'))
        expected = None if size is None else size - start
        body = PromptBody(response.raw, self.url)
        rate = LowSpeedLimit.of(self._timeouts)
        return BodyReply(Body(body, info, expected, low_speed=rate), start)

    def _refusal(self, response: requests.Response) -> StorageError:
        status = response.status_code
        if status in (401, 403):
            told = f"GET {self.url}: {status}; web servers are asked without credentials"
            return AccessError(told, url=self.url, status=status)
        # Not the body: storage behind a redirect may quote what it was asked by.
        wait_s = retry_after_s(response.headers)
        hint = name_hint(self._given_url) if 400 <= status < 500 else ""
        return error_for(status, hint, operation="GET", url=self.url, retry_after_s=wait_s)


def _shown(url: str) -> str:
    """Leave out what may be secret: a password before the host, and a query."""
    scheme, separator, rest = url.partition("://")
    host, slash, name = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{name}"
