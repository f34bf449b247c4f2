"""GET requests that are sent ahead: the response is read when its turn comes.

A reader of many small objects sends the requests of the next few, each on a connection of its own,
and reads the responses in order, in one thread: while it reads one, the others arrive. The read
itself is that of any object; it finds that its request is already sent.

How it finds that is a ContextVar. Between the reader and the place that sends requests lie methods
that users write or override (a dataset's, `Source.read`, `Store.get`), and an archive's index may
be read on the way: an argument would have to stand in the signature of each of them. So `offering`
puts the request up for the reads of a block, and the one with the same key claims it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakSet

from aisio import forks
from aisio.transport.http.connection_pool import Request, RequestState
from aisio.urls import ObjectUrl
from aisio.wire.placement import Target

__all__ = ["GetKey", "PendingGet", "SentRequest", "claim", "count_pending", "offering"]


class GetKey(NamedTuple):
    """What makes two GET requests the same.

    Attributes:
        client: Who sends it; two clients may be of different clusters.
        url: The object.
        query: Query parameters.
        headers: The headers that not every request has.
    """

    client: object
    url: ObjectUrl
    query: Mapping[str, str]
    headers: Mapping[str, str] | None


class SentRequest(NamedTuple):
    """A request that was sent.

    Attributes:
        target: The node that it was sent to; None for the endpoint.
        request: The request.
        redirected: The URL that it was sent to, if an earlier redirect led there; else "".
    """

    target: Target | None
    request: Request
    redirected: str = ""


class PendingGet:
    """A GET that was sent ahead; the first read with the same key gets its response.

    Args:
        key: What was requested.
        sent: The request.
        follow: Reads the response, which redirects, and sends the request on; it returns None if
            the request is to be sent anew. None where the response is that of the object.
    """

    __slots__ = ("__weakref__", "_follow", "_key", "_sent")

    def __init__(
        self,
        key: GetKey,
        sent: SentRequest,
        follow: Callable[[SentRequest], SentRequest | None] | None = None,
    ) -> None:
        self._key = key
        self._sent: SentRequest | None = sent
        self._follow = follow
        _open.add(self)

    @property
    def state(self) -> RequestState:
        """What is known of the response, without waiting for it."""
        sent = self._sent
        return sent.request.state if sent is not None else RequestState.UNANSWERED

    @property
    def expects_redirect(self) -> bool:
        """Whether the response is a redirect, so that `advance` is needed."""
        return self._follow is not None

    def advance(self) -> None:
        """Send the request on, if it is redirected and the redirect has come."""
        sent, follow = self._sent, self._follow
        if follow is None or sent is None or sent.request.state is RequestState.UNANSWERED:
            return
        self._follow = None
        self._sent = follow(sent)

    def take(self, key: GetKey) -> SentRequest | None:
        """Return what was sent, once; None for another key."""
        if key != self._key:
            return None
        sent, self._sent = self._sent, None
        _open.discard(self)
        return sent

    def close(self) -> None:
        """Cut the connection, unless a read has taken the response."""
        sent = self.take(self._key)
        if sent is not None:
            sent.request.close()


_open: WeakSet[PendingGet] = WeakSet()
"""Those of this process whose responses nobody has begun to read."""

_offered: ContextVar[PendingGet | None] = ContextVar("_offered", default=None)


def count_pending() -> int:
    """Return how many requests this process has sent ahead whose responses nobody reads yet."""
    return len(_open)


class offering:
    """A `with` block in which a read of this thread may claim the response to a pending GET.

    At its end, a response that no read has claimed is cut.

    Args:
        pending: The request.
    """

    __slots__ = ("_before", "_pending")

    def __init__(self, pending: PendingGet) -> None:
        self._pending = pending

    def __enter__(self) -> None:
        self._before = _offered.get()
        try:
            _offered.set(self._pending)
        except BaseException:  # an interrupt: no later read may claim this response
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        # Close before the reset: a read that claims in between finds nothing.
        try:
            self._pending.close()
        finally:
            _offered.set(self._before)


def claim(key: GetKey) -> SentRequest | None:
    """Return the request that was sent ahead for this key; None where it is still to be sent."""
    pending = _offered.get()
    return pending.take(key) if pending is not None else None


@forks.in_child
def _close_in_child() -> None:
    """Close the child's copies, or the server would wait for them after the parent is done."""
    for pending in list(_open):
        pending.close()
