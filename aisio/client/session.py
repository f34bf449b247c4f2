"""Session: requests to one endpoint, from any process and thread.

There are two ways. `call` carries control messages and returns a whole reply. `stream` carries an
object's bytes: it goes round requests, which spends 0.3 ms on each call, to a plain connection, or
for https and through a proxy to urllib3, and hands over the open reply.

A `requests.Session` is neither thread-safe nor fit to be used on both sides of a fork: two
processes that share a socket read each other's replies. So each thread of each process makes its
own, on first use, and what pickles is the settings alone. The connections for bodies are the
process's: see `aisio.transport.http.pools`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from time import perf_counter
from typing import Any, TypeVar

import requests
import urllib3
from urllib3.exceptions import ReadTimeoutError

from aisio.client.bucket_checksums import BucketChecksums
from aisio.client.control_replies import Reply, check_status, read_whole
from aisio.client.control_sessions import new_session
from aisio.client.first_contact import FirstContact
from aisio.errors import AisioError, NotFoundError, StorageError
from aisio.records import Settings
from aisio.stats import thread_counters, waiting
from aisio.transport.http.connection_pool import Request
from aisio.transport.http.errors import FOREIGN, translation
from aisio.transport.http.pools import Pool, Pools, keep_headers
from aisio.transport.http.response_body import OpenReply, drain_and_release, refusal
from aisio.transport.http.urls import (
    REDIRECTS,
    Hop,
    host_of,
    origin_of,
    query_text,
    redirected,
    split_target,
)
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import (
    WALL_CLOCK,
    Attempts,
    Waiter,
    retry,
)
from aisio.version import __version__

T = TypeVar("T")

MOST_REDIRECTS = 3
_TURN_INTO_GET = frozenset({301, 302, 303})

_BARE_HEADERS = {"User-Agent": f"aisio/{__version__}"}


class Session:
    """Requests to one endpoint, from any process and thread.

    Args:
        settings: Endpoint, credentials, timeouts, retries.
        waiter: The retry loop's clock.

    Attributes:
        bucket_checksums: What the cluster's buckets say of their checksums.
        no_batches_until_s: When a get-batch is worth a try again, by `time.monotonic`; one that was
            silent is not tried again at once.
    """

    def __init__(self, settings: Settings, waiter: Waiter = WALL_CLOCK) -> None:
        self.settings = settings
        self._waiter = waiter
        self.no_batches_until_s = 0.0
        self._first_contact = FirstContact(settings)
        self._local = threading.local()
        self._pools = Pools(settings)
        self.bucket_checksums = BucketChecksums(self.call)

    def __getstate__(self) -> dict[str, Any]:
        names = ("settings", "_waiter", "_first_contact")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.no_batches_until_s = 0.0
        self._local = threading.local()
        self._pools = Pools(self.settings)
        self.bucket_checksums = BucketChecksums(self.call)

    @property
    def http_session(self) -> requests.Session:
        """This thread's session; made on first use, never carried over a fork."""
        local = self._local
        if getattr(local, "pid", None) != os.getpid():
            local.session = new_session(self.settings)
            local.pid = os.getpid()
        session: requests.Session = local.session
        return session

    def close(self) -> None:
        """Close this thread's connections, and the process's that are not in use."""
        self.leave()
        self._pools.close()

    def leave(self) -> None:
        """Close the connections that only this thread has; its next request opens new ones."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.session.close()
        self._local.__dict__.clear()

    def attempts(self) -> Attempts:
        """Return a fresh budget of this client's retry policy."""
        return Attempts(self.settings.retry, self._waiter)

    def retry(self, attempt: Callable[[], T], attempts: Attempts | None = None) -> T:
        """Run `attempt` under this client's retry policy, or what is left of a budget of it."""
        return retry(attempt, attempts or self.attempts())

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        message: Any = None,
        accept: str | None = None,
        about: str = "",
        safe: bool = True,
    ) -> Reply:
        """Send a control message and return the whole reply.

        Args:
            method: HTTP method.
            path: Percent-encoded path.
            query: Query parameters.
            message: JSON body; None for none.
            accept: Accept header.
            about: What errors name: the URL of a bucket or object.
            safe: Repeating it does no harm; False tries once.

        Raises:
            StorageError: Status 400 or above, no answer, or no connection.
        """
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if accept:
            headers["Accept"] = accept
        url = self.settings.endpoint + path
        about = about or url

        def attempt() -> Reply:
            return self._send(method, url, query, message, headers, about)

        return self.retry(attempt) if safe else attempt()

    def _send(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        message: Any,
        along: Mapping[str, str],
        about: str,
    ) -> Reply:
        hop = Hop(url + (f"?{query_text(query)}" if query else ""), along)
        for _ in range(MOST_REDIRECTS + 1):
            try:
                reply = self._send_once(method, hop, message, about)
            except StorageError:
                raise
            except FOREIGN as error:
                raise self._failure(error, method, hop.url, about) from error
            if reply.status not in REDIRECTS:
                check_status(reply, method, about)
                return reply
            if reply.status in _TURN_INTO_GET and method not in ("GET", "HEAD"):
                raise StorageError(
                    f"{method} {about}: redirected by {reply.status}, which would make it a GET",
                    url=about,
                )
            hop = redirected(hop, reply.status, reply.headers, about)
        raise _lost(method, hop.url, about)

    def _send_once(self, method: str, hop: Hop, message: Any, about: str) -> Reply:
        limits = self.settings.timeouts
        session = self.http_session
        # Without verify=, REQUESTS_CA_BUNDLE would beat the session's own authorities.
        with waiting(about, "list_s") as counters:
            counters.requests += 1
            response = session.request(
                method,
                hop.url,
                json=message,
                headers=hop.headers,
                auth=keep_headers,
                verify=session.verify,
                timeout=(limits.connect_s, limits.read_s),
                stream=True,
            )
            with response:
                self._first_contact.make()
                if response.status_code in REDIRECTS:
                    return Reply(response.status_code, response.headers, b"")
                body = read_whole(response, LowSpeedLimit.of(limits), f"{method} {about}")
        return Reply(response.status_code, response.headers, body)

    def delete(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        about: str,
        missing_ok: bool,
        message: Any = None,
    ) -> None:
        """Delete what a path names.

        Raises:
            NotFoundError: There was nothing, and missing_ok is false. On a later try that is
                success: the answer to an earlier one was lost.
        """
        tries = 0

        def attempt() -> None:
            nonlocal tries
            tries += 1
            self.call("DELETE", path, query=query, message=message, about=about, safe=False)

        try:
            self.retry(attempt)
        except NotFoundError:
            if tries == 1 and not missing_ok:
                raise

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        about: str = "",
        sent: Request | None = None,
    ) -> OpenReply:
        """Open a reply whose body the caller reads; one attempt, redirects followed.

        A body goes along with each of them. The first request may be on its way, by `send`.

        Raises:
            StorageError: Status 400 or above, no answer, or no connection.
        """
        target = self.settings.endpoint + path + (f"?{query_text(query)}" if query else "")
        along: Mapping[str, str] = {**self._headers, **headers} if headers else self._headers
        for _ in range(MOST_REDIRECTS + 1):
            if sent is not None:
                response, sent = self.answer(sent, target, about=about), None
            else:
                response = self.exchange(method, target, headers=along, body=body, about=about)
            if response.status not in REDIRECTS:
                return response
            drain_and_release(response)
            target, along = redirected(Hop(target, along), response.status, response.headers, about)
        raise _lost(method, target, about)

    def hand_over(self, path: str, query: Mapping[str, str], size_bytes: int, *, about: str) -> Hop:
        """Ask the cluster which node takes a PUT of this size, by its headers alone.

        Sent with its body, the request would cross the wire twice: the proxy answers with a
        redirect without reading it. `Connection: close` frees the proxy from waiting for a body
        that never comes.

        Raises:
            StorageError: Status 400 or above, no connection, or no redirect.
        """
        url = f"{self.settings.endpoint}{path}?{query_text(query)}"
        headers = {**self._headers, "Content-Length": str(size_bytes)}
        response = self.exchange("PUT", url, headers=headers | {"Connection": "close"}, about=about)
        # Whatever the answer, a server may still wait for a body on this connection.
        response.close()
        response.release_conn()
        if response.status not in REDIRECTS:
            raise StorageError(
                f"PUT {about}: {host_of(url)} answered {response.status} before it had the data: "
                f"is it an AIStore endpoint?",
                url=about,
            )
        return redirected(Hop(url, headers), response.status, response.headers, about)

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Any = None,
        about: str,
    ) -> OpenReply:
        """Send one request on a connection itself and return its open reply, a redirect included.

        Raises:
            StorageError: Status 400 or above, no answer, or no connection.
        """
        thread_counters().requests += 1
        return self._opened(partial(self._exchange, method, url, headers, body), method, url, about)

    def answer(self, request: Request, url: str, *, about: str) -> OpenReply:
        """Return the open reply to what `send` has sent to a host; errors as for `exchange`."""
        return self._opened(request.reply, "GET", url, about)

    def _opened(
        self, wait: Callable[[], OpenReply], method: str, url: str, about: str
    ) -> OpenReply:
        counters = thread_counters()
        counters.blocked_since = started = perf_counter()
        counters.blocked_on = about
        connecting_s = counters.connect_s
        try:
            response = wait()
            if not self._first_contact.is_made:
                self._first_contact.make()
            if response.status >= 400:
                raise refusal(response, method, about)
        except StorageError:
            raise
        except FOREIGN as error:
            raise self._failure(error, method, url, about) from error
        finally:
            counters.blocked_on = ""
            counters.wait_s += perf_counter() - started - (counters.connect_s - connecting_s)
        return response

    def send(self, url: str, *, headers: Mapping[str, str], about: str) -> Request | None:
        """Send a GET whose answer `answer` is to read later; None where it cannot wait.

        It can where plain http leads straight to the host.

        Raises:
            StorageError: No connection.
        """
        origin, target = split_target(url)
        counters = thread_counters()
        before = counters.blocked_on, counters.blocked_since  # of a read that has just failed
        counters.blocked_on, counters.blocked_since = about, perf_counter()
        try:
            plain = self._pool(origin, url).plain
            if plain is None:
                return None
            counters.requests += 1
            return plain.send("GET", target, headers)
        except FOREIGN as error:
            raise self._failure(error, "GET", url, about) from error
        finally:
            counters.blocked_on, counters.blocked_since = before

    def _failure(self, error: Exception, method: str, url: str, about: str) -> AisioError:
        told = translation(error, method, about, host_of(url), url)
        return self._first_contact.doubted(told, error, url)

    def _pool(self, origin: str, url: str) -> Pool:
        return self._pools.find(origin) or self._pools.open(origin, url, self.http_session)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> OpenReply:
        origin, target = split_target(url)
        pool = self._pool(origin, url)
        if pool.plain is not None and method in ("GET", "HEAD"):
            return pool.plain.urlopen(method, target, headers, body)
        limits = self.settings.timeouts
        try:
            return pool.connections.urlopen(
                method,
                url if pool.absolute else target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                # A proxy's pool is asked for other hosts' URLs.
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=limits.connect_s, read=limits.read_s),
                preload_content=False,
                decode_content=False,
            )
        except ReadTimeoutError:
            self._pools.forget(origin)  # what was kept beside it may be as dead
            raise

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers of any request to a URL; the token is for the endpoint's host only."""
        if origin_of(url) == self._origin:
            return self._headers
        return _BARE_HEADERS

    @cached_property
    def _origin(self) -> str:
        return origin_of(self.settings.endpoint)

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        token = self.settings.token
        return _BARE_HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})


def _lost(method: str, target: str, about: str) -> StorageError:
    return StorageError(
        f"{method} {about}: more than {MOST_REDIRECTS} redirects, the last to {host_of(target)}",
        url=about,
    )
