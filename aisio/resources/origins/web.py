"""A file of a web server as an origin: by `requests`, which is always installed, not by obstore.

Names are written as they are, as in all URLs of aisio: they are quoted for the request, and a "?"
in them is never a query. No credentials are sent: neither those of ~/.netrc, nor with a redirect.

Source:
    RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 15.5.17 (416).
"""

from __future__ import annotations

import re
from urllib.parse import quote

import requests

from aisio.errors import AccessError, StorageError
from aisio.records import ObjectInfo, RetryPolicy, Timeouts
from aisio.redaction import url_without_secrets
from aisio.resources.origins.body_response import BodyResponse, PromptBody
from aisio.resources.origins.https import TIMEOUTS, HttpsSession, file_headers, response_span
from aisio.transport.body import Body
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.urls import name_hint
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts, retry
from aisio.urls import ObjectUrl
from aisio.wire.messages import error_for

# An ETag that If-Range can send back: RFC 9110, section 8.8.3, in ASCII.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


class WebOrigin:
    """A file of a web server; see `aisio.resources.download.download.Origin`.

    Args:
        url: https:// or http://.
        policy: Retry policy; the default policy if None.
        timeouts: Of each request, with the low-speed limit.

    Attributes:
        url: For messages: without user, password and query.
    """

    def __init__(
        self, url: str, policy: RetryPolicy | None = None, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self.url = url_without_secrets(url)
        self._full_url = url
        self._policy = policy or RetryPolicy()
        self._timeouts = timeouts
        self._etag = ""

    def __repr__(self) -> str:
        return f"WebOrigin({self.url!r})"

    def open(self, start: int = 0) -> BodyResponse:
        """Open the file from a byte on; from 0 if it has no such byte, or the server no ranges.

        Raises:
            UrlError: The URL names no file of a web server.
            IntegrityError: The server sends other bytes than were requested.
            StorageError: As the status says, or the server cannot be reached; after some attempts.
        """
        return retry(lambda: self._open(start), Attempts(self._policy))

    def _open(self, start: int) -> BodyResponse:
        response = self._get(start)
        try:
            if start and response.status_code == 416:  # the file is shorter now
                response.close()
                start, response = 0, self._get(0)
            return self._body_response(response, start)
        except BaseException:
            response.close()
            raise

    def _get(self, start: int) -> requests.Response:
        url = ObjectUrl.parse(self._full_url).require_object()
        headers = file_headers(start)
        if start and self._etag:
            headers["If-Range"] = self._etag
        # Closing the session closes its idle connections; that of the response stays open.
        with HttpsSession(self._timeouts, allow_http=url.provider == "http") as http:
            return http.open(
                f"{url.root}/{quote(url.name)}",
                about=f"GET {self.url}",
                error_url=self.url,
                headers=headers,
            )

    def _body_response(self, response: requests.Response, start: int) -> BodyResponse:
        span = response_span(response, start, f"GET {self.url}", self.url)
        if span is None:
            raise self._refusal(response)
        start, size = span
        etag = response.headers.get("ETag", "")
        self._etag = etag if _STRONG_ETAG.fullmatch(etag) else ""
        root, _, name = self.url.rpartition("/")
        info = ObjectInfo(root, name, size, etag=etag.strip('"'))
        expected_bytes = None if size is None else size - start
        raw_body = PromptBody(response.raw, self.url)
        low_speed = LowSpeedLimit.of(self._timeouts)
        return BodyResponse(Body(raw_body, info, expected_bytes, low_speed=low_speed), start)

    def _refusal(self, response: requests.Response) -> StorageError:
        status = response.status_code
        if status in (401, 403):
            text = f"GET {self.url}: {status}; requests to web servers have no credentials"
            return AccessError(text, url=self.url, status=status)
        # Without the body: the storage behind a redirect may quote its presigned URL.
        wait_s = retry_after_s(response.headers)
        hint = name_hint(self._full_url) if 400 <= status < 500 else ""
        return error_for(status, hint, operation="GET", url=self.url, retry_after_s=wait_s)
