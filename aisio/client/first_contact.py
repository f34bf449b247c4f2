"""FirstContact: an endpoint that has never answered may be a wrong address.

A cluster that is known to be there may be away for a while, and is waited for. A wrong address
never answers, however long it is tried: so it is tried for `FIRST_CONTACT_S` of
`aisio.transport.retries` only, and the error names the setting that it came from.

A process of a job cannot tell one from the other: workers are started again for each epoch, and
ranks after each failure, perhaps just while the proxy restarts. It warns at once, and waits.
"""

from __future__ import annotations

import logging
from typing import Any

from aisio.config import is_set
from aisio.errors import AisioError, StoreTimeoutError, UnavailableError
from aisio.records import Settings
from aisio.transport.http.errors import NO_CONNECTION, PROXY_ERRORS
from aisio.transport.http.urls import origin_of
from aisio.transport.retries import NeverReachedError

__all__ = ["FirstContact"]

_log = logging.getLogger(__name__)

_reached: set[str] = set()
"""Endpoints that have answered this process, or the one that it was forked from."""


class FirstContact:
    """Whether an endpoint has ever answered; a pickled one remembers it in another process.

    Args:
        settings: Name the endpoint.

    Attributes:
        is_made: It has answered, as far as this one was told.
    """

    def __init__(self, settings: Settings) -> None:
        self._endpoint = settings.endpoint
        self._named_by = settings.endpoint_from or "a setting"
        self._has_warned = False
        self.is_made = self._endpoint in _reached

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"is_made": self._endpoint in _reached}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.is_made:
            self.make()

    def make(self) -> None:
        """Note an answer, whatever it says."""
        self.is_made = True
        _reached.add(self._endpoint)

    def doubted(self, told: AisioError, error: Exception, url: str) -> AisioError:
        """Return the error for a failed request, which is another one before the first answer.

        Args:
            told: The error as it is for an endpoint that is known to be there.
            error: Another library's, which led to it.
            url: What was asked.
        """
        if self._endpoint in _reached or origin_of(url) != origin_of(self._endpoint):
            return told
        if not isinstance(told, (UnavailableError, StoreTimeoutError)):
            return told
        text = str(told)
        if not isinstance(error, PROXY_ERRORS):
            named = f"{self._endpoint}, which {self._named_by} names"
            text += f"; {named}, has never answered: is it right?"
        if _is_of_a_job():
            self._warn(text)
            return type(told)(text, url=told.url)
        if isinstance(told, UnavailableError):
            return NeverReachedError(text, url=told.url)
        # One wait for a connection is as long as all the time that a first contact is worth.
        return StoreTimeoutError(text, url=told.url, given_up=isinstance(error, NO_CONNECTION))

    def _warn(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("%s It may be starting: a process of a job waits for it.", text)


def _is_of_a_job() -> bool:
    """Tell whether a launcher started this process as a rank, or another one as its worker."""
    from multiprocessing import parent_process

    return parent_process() is not None or is_set("WORLD_SIZE")
