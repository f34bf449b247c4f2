"""StreamingRequests: requests whose response body the caller reads.

They carry the bytes of objects. Those over plain http go to our own connection pool: the layers of
requests would cost 0.3 ms of CPU time for each. POST, requests whose body is sent piece by piece,
and all over https or through an HTTP proxy, go to urllib3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import requests
import urllib3
from urllib3.exceptions import ReadTimeoutError

from aisio.client.first_contact import FailureTranslator
from aisio.client.request_headers import NODE_HEADERS, EndpointHeaders
from aisio.errors import AccessError, AisioError, StorageError
from aisio.records import Settings
from aisio.stats import thread_counters, waiting
from aisio.transport.http.connection_pool import IDEMPOTENT_METHODS, Request
from aisio.transport.http.errors import LIBRARY_ERRORS
from aisio.transport.http.pools import OriginPool, Pools
from aisio.transport.http.response_body import OpenResponse, drain_and_release, status_error
from aisio.transport.http.urls import (
    MAX_REDIRECTS,
    REDIRECTS,
    Hop,
    host_of,
    origin_of,
    redirect_target,
    split_target,
    too_many_redirects,
    with_query,
)

__all__ = ["StreamingRequests"]

_log = logging.getLogger(__name__)


class StreamingRequests:
    """Requests to an endpoint and to the nodes that it names; each returns an open response.

    Args:
        settings: Endpoint, credentials, timeouts.
        pools: The connections of this process.
        tls_session: Returns the calling thread's session of requests, which has the TLS settings.
        failures: Translates the errors of sockets and urllib3.
        error_of: Returns the error for a response of status 400 or above, and closes it; its
            arguments are those of `status_error`.
    """

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        tls_session: Callable[[], requests.Session],
        failures: FailureTranslator,
        error_of: Callable[[OpenResponse, str, str], AisioError] = status_error,
    ) -> None:
        self._settings = settings
        self._pools = pools
        self._tls_session = tls_session
        self._failures = failures
        self._error_of = error_of
        self._endpoint_origin = origin_of(settings.endpoint)
        self._has_warned = False
        self._endpoint_headers = EndpointHeaders(settings, failures.state)

    def open_following_redirects(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        about: str = "",
        sent: Request | None = None,
        on_redirect: Callable[[str], object] | None = None,
    ) -> OpenResponse:
        """Send a request to the endpoint, follow redirects, and return the open response.

        Args:
            method: HTTP method.
            path: Percent-encoded path.
            query: Query parameters.
            headers: Besides those of any request to the endpoint.
            body: Sent with each request; None for none.
            about: What errors name: the URL of a bucket or object.
            sent: The first request, if `send_ahead` has sent it already.
            on_redirect: Called with the URL that a redirect leads to, before it is followed.

        Raises:
            StorageError: Status 400 or above, no response, or no connection.
        """
        own = self._endpoint_headers.current()
        hop = Hop(
            with_query(self._settings.endpoint + path, query),
            {**own, **headers} if headers else own,
        )
        for _ in range(MAX_REDIRECTS + 1):
            response, sent = self._finish_sent(sent, hop.url, about), None
            if response is None:
                response = self.open(method, hop.url, headers=hop.headers, body=body, about=about)
            if response.status not in REDIRECTS:
                return response
            drain_and_release(response)
            hop = redirect_target(hop, response.status, response.headers, about)
            if on_redirect is not None:
                on_redirect(hop.url)
        raise too_many_redirects(method, hop.url, about)

    def put_location(
        self, path: str, query: Mapping[str, str], size_bytes: int, *, about: str
    ) -> Hop:
        """Return where the cluster wants a PUT of this size; only the headers are sent.

        The proxy answers with a redirect without reading the body: a request with its body would
        cross the network twice. `Connection: close` keeps the proxy from waiting for the body.

        Raises:
            StorageError: Status 400 or above, no connection, or no redirect.
        """
        url = with_query(self._settings.endpoint + path, query)
        headers = {**self._endpoint_headers.current(), "Content-Length": str(size_bytes)}
        response = self.open("PUT", url, headers=headers | {"Connection": "close"}, about=about)
        # Whatever it answered, the server may still wait for a body on this connection.
        response.close()
        response.release_conn()
        if response.status not in REDIRECTS:
            raise StorageError(
                f"PUT {about}: {host_of(url)} answered {response.status} before it had the data: "
                f"is it an AIStore endpoint?",
                url=about,
            )
        # The token may have been renewed; one server may be both the proxy and the target.
        hop = Hop(url, {**headers, **self._endpoint_headers.current()})
        return redirect_target(hop, response.status, response.headers, about)

    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Any = None,
        about: str,
    ) -> OpenResponse:
        """Send one request and return its open response; a redirect is returned as it is.

        If the endpoint refuses the token, and its file has a newer one, the request is sent again.

        Raises:
            StorageError: Status 400 or above, no response, or no connection.
        """
        try:
            return self._open_once(method, url, headers, body, about)
        except AccessError as error:
            renewed = self._endpoint_headers.renewed(error, headers)
            if renewed is None or not isinstance(body, (bytes, type(None))):
                raise
        return self._open_once(method, url, renewed, body, about)

    def _open_once(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, about: str
    ) -> OpenResponse:
        thread_counters().requests += 1
        send = partial(self._send, method, url, headers, body)
        response = self._await_head(send, method, url, about)
        self._endpoint_headers.accept(headers)
        return response

    def send_ahead(self, url: str, *, headers: Mapping[str, str], about: str) -> Request | None:
        """Send a GET whose response `finish` reads later; None where that is not possible.

        It is possible where plain http leads straight to the host.

        Raises:
            StorageError: No connection.
        """
        origin, target = split_target(url)
        try:
            with waiting(about, None) as counters:
                plain = self._pool(origin, url).plain
                if plain is None:
                    return None
                counters.requests += 1
                return plain.send_ahead("GET", target, headers)
        except LIBRARY_ERRORS as error:
            raise self._failures.translate(error, "GET", about, url) from error

    def finish(self, request: Request, url: str, *, about: str) -> OpenResponse:
        """Return the open response to a request of `send_ahead`; errors as for `open`."""
        return self._await_head(request.response, "GET", url, about)

    def _finish_sent(self, sent: Request | None, url: str, about: str) -> OpenResponse | None:
        """Return the response to a request that was sent ahead; None if it is to be sent now.

        It is to be sent again if it was refused with a token that its file may have replaced since.
        """
        if sent is None:
            return None
        try:
            return self.finish(sent, url, about=about)
        except AccessError as error:
            if error.status != 401 or not self._endpoint_headers.may_change:
                raise
            return None

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers of any request to a URL: only the endpoint's host gets the token."""
        if origin_of(url) == self._endpoint_origin:
            return self._endpoint_headers.current()
        return NODE_HEADERS

    def _await_head(
        self, open_response: Callable[[], OpenResponse], method: str, url: str, about: str
    ) -> OpenResponse:
        """Wait for the head of a response, and raise if it is an error."""
        try:
            with waiting(about, "wait_s"):
                response = open_response()
                self._failures.state.has_answered = True
                if response.status >= 400:
                    raise self._error_of(response, method, about)
        except StorageError:  # some of them are OSErrors as well
            raise
        except LIBRARY_ERRORS as error:
            raise self._failures.translate(error, method, about, url) from error
        return response

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> OpenResponse:
        origin, target = split_target(url)
        pool = self._pool(origin, url)
        is_whole = isinstance(body, (bytes, type(None)))
        if pool.plain is not None and is_whole and method in IDEMPOTENT_METHODS:
            return pool.plain.open(method, target, headers, body)
        limits = self._settings.timeouts
        try:
            return pool.urllib3_pool.urlopen(
                method,
                url if pool.needs_absolute_url else target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                # The pool of an HTTP proxy gets requests for other hosts.
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=limits.connect_s, read=limits.read_s),
                preload_content=False,
                decode_content=False,
            )
        except ReadTimeoutError:
            self._pools.discard(origin)  # the other idle connections may be as dead
            raise

    def _pool(self, origin: str, url: str) -> OriginPool:
        return self._pools.find(origin) or self._open_pool(origin, url)

    def _open_pool(self, origin: str, url: str) -> OriginPool:
        is_https = self._endpoint_origin.startswith("https:")
        if is_https and origin.startswith("http:") and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%s is an https URL, but %s, to which it leads, is not: data go there unencrypted, "
                "and anyone on the network path can change them",
                self._endpoint_origin,
                origin,
            )
        return self._pools.open(origin, url, self._tls_session())
