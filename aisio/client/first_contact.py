"""FailureTranslator: why a request failed. An endpoint that has never answered may be wrong.

An endpoint that has answered before may be away for a while, and its clients wait for it. A wrong
address never answers, however long it is tried. So an endpoint that has never answered is tried for
`FIRST_CONTACT_S` of `aisio.transport.retries` only, and the error names the setting that it came
from.

A process of a job cannot tell one from the other: workers are started again for each epoch, and
ranks after each failure, perhaps just while the proxy restarts. It warns at once, and waits.
"""

from __future__ import annotations

import logging
from typing import Any

from aisio.client.endpoint_state import EndpointState, shared_state
from aisio.config import is_set
from aisio.errors import AisioError, StoreTimeoutError, UnavailableError
from aisio.records import Settings
from aisio.transport.http.errors import NO_CONNECTION, PROXY_ERRORS, translate_error
from aisio.transport.http.urls import host_of, origin_of
from aisio.transport.retries import NeverReachedError

__all__ = ["FailureTranslator"]

_log = logging.getLogger(__name__)


class FailureTranslator:
    """Translates the errors of failed requests. One that is pickled knows if the endpoint answered.

    Args:
        settings: They have the endpoint, and the name of the setting that it came from.
        state: What is known of the endpoint.

    Attributes:
        state: As above; after unpickling, the state that the process shares. What pickles of it is
            whether the endpoint answered and accepted a token, and whether reads must begin at the
            proxy.
    """

    def __init__(self, settings: Settings, state: EndpointState) -> None:
        self._endpoint = settings.endpoint
        self._named_by = settings.endpoint_from or "a setting"
        self._has_warned = False
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        state = self.state
        return self.__dict__ | {
            "state": None,
            "has_answered": state.has_answered,
            "has_accepted_token": state.has_accepted_token,
            "needs_redirects": state.redirects.are_required,
        }

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        has_answered = pickled.pop("has_answered")
        has_accepted_token = pickled.pop("has_accepted_token")
        needs_redirects = pickled.pop("needs_redirects")
        self.__dict__.update(pickled)
        self.state = shared_state(self._endpoint)
        self.state.has_answered |= has_answered
        self.state.has_accepted_token |= has_accepted_token
        if needs_redirects and not self.state.redirects.are_required:
            self.state.redirects.require()

    def translate(self, error: Exception, method: str, about: str, url: str) -> AisioError:
        """Return aisio's error for one of LIBRARY_ERRORS.

        Args:
            error: The library's error.
            method: HTTP method of the request.
            about: URL of the object or bucket, for the message.
            url: The requested URL.
        """
        translated = translate_error(error, method, about, host_of(url), url)
        if self.state.has_answered or origin_of(url) != origin_of(self._endpoint):
            return translated
        if not isinstance(translated, (UnavailableError, StoreTimeoutError)):
            return translated
        return self._never_answered(translated, error)

    def _never_answered(
        self, translated: UnavailableError | StoreTimeoutError, error: Exception
    ) -> AisioError:
        text = str(translated)
        if not isinstance(error, PROXY_ERRORS):
            named = f"{self._endpoint}, which {self._named_by} names"
            text += f"; {named}, has never answered: is it right?"
        if _is_in_a_job():
            self._warn(text)
            return type(translated)(text, url=translated.url)
        if isinstance(translated, UnavailableError):
            return NeverReachedError(text, url=translated.url)
        # One attempt to connect that times out takes all the time that a first contact is given.
        return StoreTimeoutError(
            text, url=translated.url, given_up=isinstance(error, NO_CONNECTION)
        )

    def _warn(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("%s It may be starting: a process of a job waits for it.", text)


def _is_in_a_job() -> bool:
    """Return whether a launcher started this process as a rank, or another one as its worker."""
    from multiprocessing import parent_process

    return parent_process() is not None or is_set("WORLD_SIZE")
