"""Session: requests to one endpoint, from any process and thread.

There are two kinds. `Session.call` sends a control message and returns a whole response.
`Session.streams` sends requests for the bytes of objects, and returns open responses.

The settings pickle, and what is known of buckets. Each thread of each process makes its own
`requests.Session` on first use; the connections for bytes are shared by the threads of a process:
see `aisio.transport.http.pools`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

from aisio.client.bucket_checksums import BucketChecksums
from aisio.client.control_calls import ControlCalls
from aisio.client.control_responses import ControlResponse
from aisio.client.control_sessions import ThreadSessions
from aisio.client.endpoint_state import EndpointState, shared_state
from aisio.client.first_contact import FailureTranslator
from aisio.client.redirects import KeptRedirects
from aisio.client.streaming import StreamingRequests
from aisio.errors import NotFoundError
from aisio.records import Settings
from aisio.transport.http.pools import Pools, ended_error
from aisio.transport.retries import (
    WALL_CLOCK,
    Attempts,
    Waiter,
    retry,
)
from aisio.wire.placement import ClusterMap, parse_cluster_map

T = TypeVar("T")


class Session:
    """Requests to one endpoint, from any process and thread.

    Args:
        settings: Endpoint, credentials, timeouts, retries.
        waiter: The clock of the retry loop, and of what waits for jobs.
        endpoint_state: What is known of the endpoint; by default the state that all sessions of
            this endpoint share in a process. It does not pickle.

    Attributes:
        settings: As above.
        waiter: As above.
        endpoint_state: As above.
        streams: Requests whose response body the caller reads.
        bucket_checksums: The checksum settings of the cluster's buckets.
        kept_redirects: Where the proxy has redirected reads of this session.
    """

    def __init__(
        self,
        settings: Settings,
        waiter: Waiter = WALL_CLOCK,
        endpoint_state: EndpointState | None = None,
    ) -> None:
        self.settings = settings
        self.waiter = waiter
        state = endpoint_state or shared_state(settings.endpoint)
        self._failures = FailureTranslator(settings, state)
        self.bucket_checksums = BucketChecksums()
        self._has_ended = False
        self._build()

    def _build(self) -> None:
        settings, failures = self.settings, self._failures
        self.endpoint_state = failures.state
        self.kept_redirects = KeptRedirects()
        self._thread_sessions = ThreadSessions(settings)
        self._pools = Pools(settings)
        self._control = ControlCalls(settings, self._thread_sessions, failures)
        self.streams = StreamingRequests(
            settings, self._pools, self._thread_sessions.current, failures
        )
        if self._has_ended:
            self.end()

    def __getstate__(self) -> dict[str, Any]:
        names = ("settings", "waiter", "_failures", "bucket_checksums", "_has_ended")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._build()

    @property
    def http_session(self) -> requests.Session:
        """The calling thread's session of requests; made on first use, never kept over a fork."""
        return self._thread_sessions.current()

    def close(self) -> None:
        """Close the calling thread's connections, and the idle ones of the process."""
        self.close_thread_connections()
        self._pools.close()

    def end(self) -> None:
        """Close all idle connections of the process; requests are refused from here on."""
        self._has_ended = True
        self._thread_sessions.end()
        self._pools.end()

    def check_open(self) -> None:
        """Check that requests are not refused.

        Raises:
            ConfigError: `end` was called.
        """
        if self._has_ended:
            raise ended_error(self.settings)

    def close_thread_connections(self) -> None:
        """Close the connections that only the calling thread uses; it can go on with new ones."""
        self._thread_sessions.close_current()

    def attempts(self) -> Attempts:
        """Return a fresh retry budget, by the retry policy of the settings."""
        return Attempts(self.settings.retry, self.waiter)

    def retry(self, attempt: Callable[[], T], attempts: Attempts | None = None) -> T:
        """Run `attempt` until it succeeds or the retry budget, by default a fresh one, is spent."""
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
    ) -> ControlResponse:
        """Send a control message and return the whole response.

        Args:
            method: HTTP method.
            path: Percent-encoded path.
            query: Query parameters.
            message: JSON body; None for none.
            accept: Accept header.
            about: What errors name: the URL of a bucket or object.
            safe: Whether the message may be sent again; False tries once.

        Raises:
            StorageError: Status 300 or above, no response, or no connection.
        """
        about = about or self.settings.endpoint + path

        def attempt() -> ControlResponse:
            return self._control.send(
                method, path, query=query, message=message, accept=accept, about=about
            )

        return self.retry(attempt) if safe else attempt()

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
            NotFoundError: It did not exist, and missing_ok is false. On a later try that means
                success: the response to an earlier try was lost.
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

    def read_cluster_map(self) -> ClusterMap:
        """Read the cluster's map from the endpoint, with one request.

        Raises:
            StorageError: It cannot be read.
        """
        response = self.call("GET", "/v1/daemon", query={"what": "smap"}, safe=False)
        return parse_cluster_map(response.body)
