"""Router: sends reads straight to the target that should hold the object.

The client computes from the cluster's map where an object should be, which saves the redirect by
the proxy. The map may be wrong, and the nodes' public network may be out of reach. So a target that
fails to deliver never has the last word: the map is read again, and the proxy is asked once.

A secured cluster's targets answer only what the proxy has redirected. aisio learns that from the
first read: the target refuses it, and the same read by way of the proxy succeeds. From then on each
object is redirected once: see `aisio.client.redirects`.

Only a target that cannot be connected to is avoided for a while. One that broke off a response
is not: that may happen to any target at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from aisio.client.request_headers import NODE_HEADERS
from aisio.client.session import Session
from aisio.errors import AccessError, NotFoundError, StorageError
from aisio.transport.concurrency.pending import (
    GetKey,
    PendingGet,
    SentRequest,
    claim,
)
from aisio.transport.http.errors import never_connected
from aisio.transport.http.response_body import OpenResponse, drain_and_release
from aisio.transport.http.urls import REDIRECTS, Hop, origin_of, redirect_target, with_query
from aisio.transport.retries import RETRYABLE, MissingForNowError
from aisio.urls import ObjectUrl
from aisio.wire.messages import bucket_query, object_path
from aisio.wire.placement import Target

__all__ = ["Router"]


class Router:
    """Opens responses to reads, at the target that should hold the object or by way of the proxy.

    Args:
        session: Sends the requests, and has the cluster's map.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._streams = session.streams
        self._maps = session.endpoint_state.maps
        self._redirects = session.endpoint_state.redirects
        self._kept = session.kept_redirects

    def open(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> OpenResponse:
        """Send a GET or HEAD and return its open response.

        Raises:
            StorageError: Status 400 or above, no response, or no connection.
        """
        sent = claim(GetKey(self._session, url, query, headers)) if method == "GET" else None
        target = sent.target if sent is not None else self._target_of(url)
        refusal = ""  # not the error itself: its traceback would keep this frame alive
        if target is not None:
            try:
                response = self._open_at(target, method, url, query, headers, sent)
            except StorageError as error:
                if not self._proxy_may_know_better(error, target):
                    raise
                response, refusal = None, str(error) if self._is_refusal(error, target) else ""
            if response is not None:
                return response
            sent = None
        response = self._open_by_proxy(method, url, query, headers, sent)
        if refusal:
            # The proxy's redirect led to the bytes: neither the token nor the request was wrong.
            self._redirects.require(refusal)
        return response

    def _open_by_proxy(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        sent: SentRequest | None,
    ) -> OpenResponse:
        path, about = object_path(url), str(url)
        # With direct=False the proxy is asked each time.
        keeps = method == "GET" and self._session.settings.direct
        address = with_query(path, query) if keeps else ""
        cluster_map = self._maps.map
        if address and (sent is None or sent.redirected):
            response = self._open_redirected(address, headers, about, sent)
            if response is not None:
                return response
            sent = None
        request = sent.request if sent is not None else None
        redirects: list[str] = []
        try:
            response = self._streams.open_following_redirects(
                method,
                path,
                query=query,
                headers=headers,
                about=about,
                sent=request,
                on_redirect=redirects.append,
            )
        except NotFoundError as error:
            if self._may_be_missing_for_now(url, redirects):
                text = f"{error}; nodes of the cluster have just come or gone"
                raise MissingForNowError(text, url=error.url, status=error.status) from error
            raise
        if address and redirects:
            self._kept.keep(address, redirects[-1], cluster_map)
        return response

    def _may_be_missing_for_now(self, url: ObjectUrl, redirects: list[str]) -> bool:
        """Tell whether an object may exist that the proxy, or what it redirected to, did not find.

        A target that has just joined does not find what others have.
        """
        if redirects and self._redirects.are_required:
            self._maps.check_placement(url, redirects[-1], self._session)
            self._maps.recheck(self._session)
        return self._maps.is_settling

    def _open_redirected(
        self,
        address: str,
        headers: Mapping[str, str] | None,
        about: str,
        sent: SentRequest | None,
    ) -> OpenResponse | None:
        """Follow an earlier redirect of a GET; None if there is none, or none that still leads on.

        Args:
            address: Path and query of the GET.
            headers: Besides those of any request.
            about: What errors name.
            sent: The request, if it was sent ahead to where an earlier redirect leads.
        """
        redirected = sent.redirected if sent is not None else self._find_kept(address)
        if redirected is None:
            return None
        try:
            if sent is not None:
                response = self._streams.finish(sent.request, redirected, about=about)
            else:
                headers = {**NODE_HEADERS, **headers} if headers else NODE_HEADERS
                response = self._streams.open("GET", redirected, headers=headers, about=about)
        except StorageError as error:
            self._kept.drop(address, redirected, error)
            if error.status not in (None, 400, 401, 403, 404):
                raise
            return None
        if response.status in REDIRECTS:
            drain_and_release(response)
            self._kept.drop(address, redirected, f"status {response.status}")
            return None
        return response

    def _find_kept(self, address: str) -> str | None:
        return self._kept.find(address, self._maps.map)

    def send_ahead(
        self, url: ObjectUrl, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> PendingGet | None:
        """Send a GET whose response `open` reads later; None where that is not possible.

        It is possible where plain http leads to the node that has the object: a target, a gateway,
        or where the proxy has redirected an earlier read. In a secured cluster it is sent to the
        proxy, and on to the target when the redirect has come. An error here is not raised: the
        read of the object will meet it.
        """
        try:
            target = self._target_of(url)
        except StorageError:
            return None
        node = self._session.settings.endpoint if target is None else target.endpoint
        redirected, follow = "", None
        if target is None and not self._endpoint_has_all():
            if not self._session.settings.direct:
                return None
            redirected = self._find_kept(with_query(object_path(url), query)) or ""
            if not redirected and not self._redirects.are_required:
                return None
            follow = None if redirected else partial(self._send_on, url, query, headers)
        address = redirected or _address(node, url, query)
        if not address.startswith("http:"):
            return None
        try:
            request = self._streams.send_ahead(
                address, headers=self._headers_to(address, headers), about=str(url)
            )
        except StorageError as error:
            if target is not None and never_connected(error):
                self._maps.avoid(target)
                self._maps.recheck(self._session)
            return None
        if request is None:
            return None
        sent = SentRequest(target, request, redirected)
        return PendingGet(GetKey(self._session, url, query, headers), sent, follow)

    def _send_on(
        self,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        sent: SentRequest,
    ) -> SentRequest | None:
        """Send a request on to where the proxy redirects it; None if it is to be sent anew."""
        endpoint, about = self._session.settings.endpoint, str(url)
        try:
            response = self._streams.finish(sent.request, endpoint, about=about)
            if response.status not in REDIRECTS:
                response.close()
                return None
            drain_and_release(response)
            hop = Hop(_address(endpoint, url, query), headers or {})
            hop = redirect_target(hop, response.status, response.headers, about)
            request = self._streams.send_ahead(
                hop.url, headers={**NODE_HEADERS, **hop.headers}, about=about
            )
        except StorageError:  # the read of the object will meet it
            return None
        self._kept.keep(with_query(object_path(url), query), hop.url, self._maps.map)
        return SentRequest(None, request, hop.url) if request is not None else None

    def check_placement(self, url: ObjectUrl, address: str) -> None:
        """Read the map again if the proxy has just sent a PUT elsewhere than the map says.

        Args:
            url: The object.
            address: The http URL at the target.
        """
        self._kept.compare(with_query(object_path(url), bucket_query(url)), address)
        self._maps.check_placement(url, address, self._session)

    def _target_of(self, url: ObjectUrl) -> Target | None:
        if not self._session.settings.direct:
            return None
        if self._redirects.are_required:
            self._maps.keep_fresh(self._session)
            return None
        return self._maps.target_of(url, self._session)

    def _endpoint_has_all(self) -> bool:
        return self._session.settings.direct and self._maps.is_one_node

    def _open_at(
        self,
        target: Target,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        sent: SentRequest | None,
    ) -> OpenResponse | None:
        """Open the response of a target; None if it redirects, so that the proxy must be asked.

        Args:
            target: Where the object should be.
            method: As for `open`; so are the next three.
            url: The object.
            query: Query parameters.
            headers: Besides those of any request.
            sent: The request, if it was sent ahead.

        Raises:
            StorageError: Status 400 or above, no response, or no connection.
        """
        about = str(url)
        if sent is not None:
            response = self._streams.finish(sent.request, target.endpoint, about=about)
        else:
            address = _address(target.endpoint, url, query)
            response = self._streams.open(
                method, address, headers=self._headers_to(address, headers), about=about
            )
        if response.status in REDIRECTS:
            drain_and_release(response)
            return None
        return response

    def _headers_to(self, address: str, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        own = self._streams.headers_for(address)
        return {**own, **headers} if headers else own

    def _proxy_may_know_better(self, error: StorageError, target: Target) -> bool:
        if isinstance(error, NotFoundError):
            return self._maps.recheck(self._session) or self._maps.is_settling
        if error.status is None:
            # An AccessError without a status: TLS failed.
            if never_connected(error) or isinstance(error, AccessError):
                self._maps.avoid(target)
            self._maps.recheck(self._session)
        # Where a target answers 400, the proxy says what is wrong, such as a missing bucket.
        return error.status in (None, 400, 401, 403)

    def _is_refusal(self, error: StorageError, target: Target) -> bool:
        """Tell whether a target may have refused a read because it was not redirected to it.

        AIStore 5.0 answers 403, and with signatures 400 or 401. A gateway is its own target.
        """
        if error.status not in (400, 401, 403) or isinstance(error, RETRYABLE):
            return False
        return origin_of(target.endpoint) != origin_of(self._session.settings.endpoint)


def _address(node: str, url: ObjectUrl, query: Mapping[str, str]) -> str:
    return with_query(node + object_path(url), query)
