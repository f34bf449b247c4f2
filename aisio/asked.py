"""Reads asked for before their turn: the request is sent, the answer is read when it is wanted.

A reader of many small objects asks for the next few, each on a connection of its own, and reads the
answers in order, in one thread: while one is read, the others arrive. The read itself is the same
as ever; it finds its request already sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from aisio.plain_http import PlainRequest
from aisio.urls import ObjectUrl
from aisio.wire.placement import Target

__all__ = ["Asked", "answer_to", "answered_by"]


class Asked:
    """A GET that was sent to a target; its answer goes to the first read that asks the very same.

    Args:
        target: Where it was sent.
        url: The object.
        query: As the read will give it.
        headers: Likewise.
        request: What was sent.
    """

    __slots__ = ("_request", "_what", "target")

    def __init__(
        self,
        target: Target,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        request: PlainRequest,
    ) -> None:
        self.target = target
        self._what = (url, query, headers)
        self._request: PlainRequest | None = request

    def is_for(
        self, url: ObjectUrl, query: Mapping[str, str], headers: Mapping[str, str] | None
    ) -> bool:
        """Tell whether this would be the answer, and is still to be had."""
        return self._request is not None and self._what == (url, query, headers)

    @property
    def has_failed(self) -> bool:
        """Whether it is known already that the answer is no success."""
        return self._request is not None and self._request.has_failed

    def take(self) -> PlainRequest:
        """Return what was sent, once."""
        request, self._request = self._request, None
        assert request is not None
        return request

    def close(self) -> None:
        """Cut the connection, unless somebody reads the answer."""
        request, self._request = self._request, None
        if request is not None:
            request.close()

    def __del__(self) -> None:
        if hasattr(self, "_request"):
            self.close()


_asked: ContextVar[Asked | None] = ContextVar("_asked", default=None)


@contextmanager
def answered_by(asked: Asked) -> Iterator[None]:
    """Let reads of a block, in this thread, take this answer; what none has taken is cut."""
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)
        asked.close()


def answer_to(
    url: ObjectUrl, query: Mapping[str, str], headers: Mapping[str, str] | None
) -> Asked | None:
    """Return what this very GET was asked ahead by; None where it is still to be sent."""
    asked = _asked.get()
    return asked if asked is not None and asked.is_for(url, query, headers) else None
