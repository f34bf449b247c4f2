"""ControlCalls: sends control messages, follows redirects, and returns whole responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisio.client.control_responses import ControlResponse, check_status, read_whole
from aisio.client.control_sessions import ThreadSessions
from aisio.client.first_contact import FailureTranslator
from aisio.client.request_headers import EndpointHeaders
from aisio.errors import AccessError, StorageError
from aisio.records import Settings
from aisio.stats import waiting
from aisio.transport.http.errors import LIBRARY_ERRORS
from aisio.transport.http.pools import keep_headers
from aisio.transport.http.urls import (
    MAX_REDIRECTS,
    REDIRECTS,
    Hop,
    redirect_target,
    too_many_redirects,
    with_query,
)
from aisio.transport.low_speed import LowSpeedLimit

__all__ = ["ControlCalls"]

_REDIRECTS_TO_GET = frozenset({301, 302, 303})


class ControlCalls:
    """Control calls to one endpoint, by the calling thread's session of requests.

    Args:
        settings: Endpoint, credentials, timeouts.
        sessions: The sessions of requests.
        failures: Translates the errors of requests.
    """

    def __init__(
        self, settings: Settings, sessions: ThreadSessions, failures: FailureTranslator
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._failures = failures
        self._endpoint_headers = EndpointHeaders(settings, failures.state)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        message: Any,
        accept: str | None,
        about: str,
    ) -> ControlResponse:
        """Send a message once, follow redirects, and return the whole response.

        If the endpoint refuses the token, and its file has a newer one, the message is sent again.
        The arguments are those of `aisio.client.session.Session.call`.

        Raises:
            StorageError: Status 300 or above, no response, or no connection.
        """
        headers = {**self._endpoint_headers.current(), "Accept-Encoding": "identity"}
        if accept:
            headers["Accept"] = accept
        url = with_query(self._settings.endpoint + path, query)
        try:
            return self._follow_redirects(method, Hop(url, headers), message, about)
        except AccessError as error:
            renewed = self._endpoint_headers.renewed(error, headers)
            if renewed is None:
                raise
        return self._follow_redirects(method, Hop(url, renewed), message, about)

    def _follow_redirects(self, method: str, hop: Hop, message: Any, about: str) -> ControlResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send_once(method, hop, message, about)
            if response.status not in REDIRECTS:
                check_status(response, method, about)
                self._endpoint_headers.accept(hop.headers)
                return response
            if response.status in _REDIRECTS_TO_GET and method not in ("GET", "HEAD"):
                raise StorageError(
                    f"{method} {about}: redirected by {response.status}, which would make it a GET",
                    url=about,
                )
            hop = redirect_target(hop, response.status, response.headers, about)
        raise too_many_redirects(method, hop.url, about)

    def _send_once(self, method: str, hop: Hop, message: Any, about: str) -> ControlResponse:
        try:
            return self._send_by_requests(method, hop, message, about)
        except StorageError:  # some of them are OSErrors as well
            raise
        except LIBRARY_ERRORS as error:
            raise self._failures.translate(error, method, about, hop.url) from error

    def _send_by_requests(self, method: str, hop: Hop, message: Any, about: str) -> ControlResponse:
        limits = self._settings.timeouts
        session = self._sessions.current()
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
                self._failures.state.has_answered = True
                if response.status_code in REDIRECTS:
                    return ControlResponse(response.status_code, response.headers, b"")
                body = read_whole(response, LowSpeedLimit.of(limits), f"{method} {about}")
        return ControlResponse(response.status_code, response.headers, body)
