"""OssBucket: signed requests to one bucket, from any process and thread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from aisio.client.control_sessions import ThreadSessions
from aisio.client.endpoint_state import shared_state
from aisio.client.first_contact import FailureTranslator
from aisio.client.request_headers import NODE_HEADERS
from aisio.client.streaming import StreamingRequests
from aisio.errors import IntegrityError, StorageError
from aisio.extras import missing_extra
from aisio.records import ObjectInfo, Settings
from aisio.stores.oss.errors import oss_error
from aisio.stores.oss.request_log import logged
from aisio.stores.oss.settings import BucketAccess
from aisio.transport.body import Body
from aisio.transport.http.connection_pool import Request
from aisio.transport.http.pools import Pools
from aisio.transport.http.response_body import OpenResponse, body_of, refuse_web_page
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts, retry
from aisio.urls import ObjectUrl
from aisio.wire.http1 import whole_number

__all__ = ["OssBucket"]


class OssBucket:
    """Sends requests to one bucket; they are signed anew for each try.

    Its connections are those of one process: a child gets none of them.

    Args:
        access: Where the bucket is, and who signs.

    Attributes:
        settings: Base URL, timeouts and retries.
    """

    def __init__(self, access: BucketAccess) -> None:
        self._access = access
        self.settings: Settings = access.settings
        self._thread_sessions = ThreadSessions(self.settings)
        self._streams = StreamingRequests(
            self.settings,
            Pools(self.settings),
            self._thread_sessions.current,
            FailureTranslator(self.settings, shared_state(self.settings.endpoint)),
            oss_error,
        )

    def attempts(self) -> Attempts:
        """Return a fresh retry budget."""
        return Attempts(self.settings.retry)

    def close_thread_connections(self) -> None:
        """Close the connections that only the calling thread uses."""
        self._thread_sessions.close_current()

    def low_speed_limit(self) -> LowSpeedLimit | None:
        """Return the speed below which a response is given up."""
        return LowSpeedLimit.of(self.settings.timeouts)

    def open(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        sent: Request | None = None,
    ) -> OpenResponse:
        """Send one request and return its open response.

        Args:
            method: HTTP method.
            url: The object, or the bucket.
            query: Query parameters.
            headers: Besides those of each request.
            body: Bytes, or an iterable of them, whose Content-Length is in the headers.
            sent: The request, if `send_ahead` has sent it already.

        Raises:
            StorageError: Status 300 or above, no response, or no connection.
            IntegrityError: A web page that is not from OSS.
            ConfigError: The credentials cannot be used, or the bucket is at another endpoint.
            MissingExtraError: The vendor's SDK is not installed.
        """
        about, address = str(url), self._address(url, query)
        with logged(method, about, address.partition("?")[2], headers or {}) as answered:
            if sent is not None:
                response = self._streams.finish(sent, address, about=about)
            else:
                signed = self._sign(method, address, url.name, headers)
                response = self._streams.open(
                    method, address, headers=signed, body=body, about=about
                )
            answered(response.status)
        if response.status >= 300:
            response.close()
            raise StorageError(
                f"{method} {about}: {response.status}: redirected, which OSS never does; is "
                f"{self.settings.endpoint} an endpoint of OSS?",
                url=about,
                status=response.status,
            )
        try:
            refuse_web_page(response.headers, method, about, own_headers="x-oss-", store="OSS")
        except IntegrityError:
            response.close()
            raise
        return response

    def call(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        tries_again: bool = True,
    ) -> tuple[Mapping[str, str], bytes]:
        """Send a message, and return headers and body of the response.

        Args:
            method: As for `open`; so are the next two.
            url: The object, or the bucket.
            query: Query parameters.
            body: The message.
            tries_again: Send it again where that may help.
        """

        def attempt() -> tuple[Mapping[str, str], bytes]:
            headers = {"Content-Type": "application/xml"} if body else None
            response = self.open(method, url, query, headers=headers, body=body)
            size = whole_number(response.headers.get("Content-Length"))
            if response.status == 204:
                size = 0
            info = ObjectInfo(url.root, url.name, size)
            raw = body_of(response, str(url))
            with Body(raw, info, size, low_speed=self.low_speed_limit()) as reply:
                return response.headers, reply.readall()

        return retry(attempt, self.attempts()) if tries_again else attempt()

    def send_ahead(self, url: ObjectUrl, headers: Mapping[str, str]) -> Request | None:
        """Send a GET whose response `open` reads later; None over https and by way of a proxy.

        Raises:
            StorageError: No connection.
            ConfigError: There are no credentials.
        """
        address = self._address(url, None)
        signed = self._sign("GET", address, url.name, headers)
        return self._streams.send_ahead(address, headers=signed, about=str(url))

    def _address(self, url: ObjectUrl, query: Mapping[str, str] | None) -> str:
        address = f"{self.settings.endpoint}/{quote(url.name, safe='/')}"
        if not query:
            return address
        return f"{address}?{'&'.join(_pair(name, value) for name, value in query.items())}"

    def _sign(
        self, method: str, address: str, name: str, more: Mapping[str, str] | None
    ) -> Mapping[str, str]:
        access, headers = self._access, {**NODE_HEADERS, **(more or {})}
        if access.credentials is None:
            return headers
        signer, types = _load_sdk()
        keys = access.credentials()
        request = types.HttpRequest(method, address, headers)
        signer.sign(
            types.SigningContext(
                product="oss",
                region=access.region,
                bucket=access.bucket,
                key=name,
                request=request,
                credentials=types.Credentials(
                    keys.access_key_id, keys.access_key_secret, keys.security_token or None
                ),
            )
        )
        return dict(request.headers)


@lru_cache(maxsize=1)
def _load_sdk() -> tuple[Any, Any]:
    """Return the vendor's signer and types; they take a third of a second to import.

    Raises:
        MissingExtraError: The SDK is not installed.
    """
    try:
        from alibabacloud_oss_v2 import types
        from alibabacloud_oss_v2.signer import SignerV4
    except ImportError as error:
        raise missing_extra("alibabacloud-oss-v2", "oss") from error
    return SignerV4(), types


def _pair(name: str, value: str) -> str:
    return f"{name}={quote(value, safe='')}" if value else name
