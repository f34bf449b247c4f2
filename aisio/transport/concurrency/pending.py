"""Reads that are asked for before their turn: the request is sent, the answer is read when wanted.

A reader of many small objects asks for the next few, each on a connection of its own, and reads the
answers in order, in one thread: while one is read, the others arrive. The read itself is the same
as ever; it finds its request already sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakSet

from aisio.transport.http.connection_pool import Request, RequestState
from aisio.urls import ObjectUrl
from aisio.wire.placement import Target

__all__ = ["GetKey", "PendingGet", "SentRequest", "claim", "count_pending", "offering"]


class GetKey(NamedTuple):
    """A GET, as the read that wants its answer will put it.

    Attributes:
        client: What sends it; two clients may mean different clusters.
        url: The object.
        query: Query parameters.
        headers: Besides those of any request.
    """

    client: object
    url: ObjectUrl
    query: Mapping[str, str]
    headers: Mapping[str, str] | None


class SentRequest(NamedTuple):
    """A request on its way.

    Attributes:
        target: Where it was sent; None for the endpoint.
        request: What waits for the answer.
    """

    target: Target | None
    request: Request


class PendingGet:
    """A question that was sent; its answer goes to the first read that puts the very same.

    Args:
        question: What was asked.
        sent: The request.
    """

    __slots__ = ("__weakref__", "_question", "_sent")

    def __init__(self, question: GetKey, sent: SentRequest) -> None:
        self._question = question
        self._sent: SentRequest | None = sent
        _open.add(self)

    @property
    def state(self) -> RequestState:
        """What is known of the answer, which nobody reads yet."""
        sent = self._sent
        return sent.request.state if sent is not None else RequestState.UNANSWERED

    def take(self, question: GetKey) -> SentRequest | None:
        """Return what was sent, once; None for another question."""
        if question != self._question:
            return None
        sent, self._sent = self._sent, None
        _open.discard(self)
        return sent

    def close(self) -> None:
        """Cut the connection, unless somebody reads the answer."""
        sent = self.take(self._question)
        if sent is not None:
            sent.request.close()


_open: WeakSet[PendingGet] = WeakSet()
"""Those whose answers nobody reads yet: of this process."""

_asked: ContextVar[PendingGet | None] = ContextVar("_asked", default=None)


def count_pending() -> int:
    """Return how many answers this process has asked for and not begun to read."""
    return len(_open)


@contextmanager
def offering(asked: PendingGet) -> Iterator[None]:
    """Let reads of a block, in this thread, take this answer; what none has taken is cut."""
    before = _asked.get()
    try:
        _asked.set(asked)
        yield
    finally:
        # Whatever interrupts this: a closed one answers nobody.
        asked.close()
        _asked.set(before)


def claim(question: GetKey) -> SentRequest | None:
    """Return what this very question was asked ahead by; None where it is still to be sent."""
    asked = _asked.get()
    return asked.take(question) if asked is not None else None


def _leave_to_parent() -> None:
    for asked in list(_open):
        asked.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
