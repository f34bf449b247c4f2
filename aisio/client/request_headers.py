"""Headers that all requests to an endpoint, or to a node that it names, have."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from math import inf

from aisio.client.endpoint_state import EndpointState
from aisio.config import read_token_file
from aisio.errors import ConfigError, StorageError
from aisio.records import Settings
from aisio.transport.retries import ExpiredTokenError
from aisio.version import __version__

__all__ = ["CHECK_TOKEN_FILE_S", "NODE_HEADERS", "EndpointHeaders"]

NODE_HEADERS: Mapping[str, str] = {"User-Agent": f"aisio/{__version__}"}
"""Headers of a request to any host but the endpoint's: the token is not for it."""

CHECK_TOKEN_FILE_S = 1.0
"""How often the token's file is looked at while requests are sent, in seconds."""

_log = logging.getLogger(__name__)


class EndpointHeaders:
    """The headers of requests to the endpoint, with the token as its file has it now.

    A file that cannot be read, or holds no token, is perhaps just being written: the last token is
    used until the file can be read again.

    Args:
        settings: They have the token, and the file that it is from.
        state: Of the endpoint; it knows whether a token of the file was ever accepted.
        now: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        state: EndpointState,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = settings.token_file
        self._state = state
        self._now = now
        self._checked_at = -inf
        self._stamp: tuple[int, int, int] | None = None
        self._headers = _headers_with(settings.token)

    @property
    def may_change(self) -> bool:
        """Whether the token is from a file."""
        return self._file is not None

    def current(self) -> Mapping[str, str]:
        """Return the headers; a file that has changed is read."""
        if self._file is not None:
            now = self._now()
            if now - self._checked_at >= CHECK_TOKEN_FILE_S:
                self._checked_at = now
                self._read_if_changed(self._file)
        return self._headers

    def accept(self, sent: Mapping[str, str]) -> None:
        """Note that a request with these headers was not refused."""
        if self._file is not None and "Authorization" in sent:
            self._state.has_accepted_token = True

    def renewed(self, error: StorageError, sent: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the headers of a request with a newer token than was refused; None without one.

        The file is read whether or not it seems to have changed.

        Args:
            error: The error of the request.
            sent: The headers that the request had.

        Raises:
            ExpiredTokenError: There is no newer token, but one of the file was accepted before.
        """
        refused = sent.get("Authorization")
        if error.status != 401 or refused is None or self._file is None:
            return None
        self._stamp = None
        self._read_if_changed(self._file)
        if self._headers.get("Authorization") == refused:
            if not self._state.has_accepted_token:
                return None
            self._checked_at = -inf  # the next try reads the file
            text = f"{error}; there is no new token in {self._file} yet"
            raise ExpiredTokenError(text, url=error.url, status=error.status) from error
        return {**sent, **self._headers}

    def _read_if_changed(self, file: str) -> None:
        try:
            status = os.stat(file)  # noqa: PTH116 - before a request: a Path costs more than stat
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            headers = _headers_with(read_token_file(file))
        except (OSError, ConfigError) as error:
            _log.debug("the last token is still used: %s", error)
            return
        if headers != self._headers:
            _log.info("%s has a new token", file)
        self._headers, self._stamp = headers, stamp


def _headers_with(token: str | None) -> Mapping[str, str]:
    if not token:
        return NODE_HEADERS
    return {**NODE_HEADERS, "Authorization": f"Bearer {token}"}
