"""Opening: one shard that is prefetched, and who may use its body: the thread or the reader."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import NamedTuple, Protocol

from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles

__all__ = ["Opening", "ShardPart", "ShardStream", "State"]


class ShardPart(NamedTuple):
    """Neighbouring samples of a shard that is read whole.

    Attributes:
        start: The first one, counted from 0.
        stop: One past the last one; None for the rest.
        total: How many samples the shard has by its index; None if it has none.
        before: The key of the sample before the first one; "" if it is not known.
    """

    start: int
    stop: int | None = None
    total: int | None = None
    before: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be read."""
        return self.start == self.stop

    def count(self, samples: int) -> int:
        """Return how many of the first so many samples of the shard are among them."""
        stop = samples if self.stop is None else min(samples, self.stop)
        return max(0, stop - self.start)


class ShardStream(Protocol):
    """An open shard: a Body, or one whose first bytes were prefetched."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end."""

    def close(self) -> None:
        """Release the connection."""


class State(Enum):
    """Who may use the body of a shard: the thread until HANDED_OVER, then the reader.

        PREFETCHING ──▶ WANTED ──▶ HANDED_OVER ──▶ CLOSED
             │  │          │            ▲            ▲
             │  └──────────┼────────────┘            │
             └─────────────┴────▶ ABANDONED ─────────┘

    The reader that opens the shard makes it WANTED: the thread stops after its current read. The
    thread that stops makes it HANDED_OVER. Whoever closes the shard before that makes it ABANDONED:
    the thread closes the body when it stops.
    """

    PREFETCHING = auto()
    WANTED = auto()
    HANDED_OVER = auto()
    ABANDONED = auto()
    CLOSED = auto()


class Opening:
    """A shard that the thread opens, and its first bytes.

    The lock of the Prefetch guards it. Only `is_prefetching` may be read without the lock.

    Attributes:
        info: What the listing says about the shard.
        part: Which of its samples are wanted; see `Shard`.
        links: See `Shard`.
        state: Who may use the body.
        body: The open shard; None before it is open, or if it cannot be opened.
        pieces: The bytes that the thread has read and the reader has not.
        error: What the thread met, after these bytes.
    """

    def __init__(
        self,
        info: ObjectInfo,
        part: ShardPart | None = None,
        links: LinkedFiles | None = None,
    ) -> None:
        self.info = info
        self.part = part
        self.links = links
        self.state = State.PREFETCHING
        self.body: ShardStream | None = None
        self.pieces: deque[memoryview] = deque()
        self.error: BaseException | None = None

    @property
    def is_prefetching(self) -> bool:
        """Whether the thread is to read on."""
        return self.state is State.PREFETCHING

    @property
    def is_abandoned(self) -> bool:
        """Whether the thread is to drop what it reads."""
        return self.state is State.ABANDONED

    @property
    def has_stopped(self) -> bool:
        """Whether the thread uses the body no more."""
        return self.state in (State.HANDED_OVER, State.CLOSED)

    def want(self) -> None:
        """Mark the shard as wanted by the reader."""
        if self.state is State.PREFETCHING:
            self.state = State.WANTED

    def stop(self) -> bool:
        """Mark the thread as stopped; return whether it must close the body."""
        must_close = self.state is State.ABANDONED
        self.state = State.CLOSED if must_close else State.HANDED_OVER
        return must_close

    def abandon(self) -> bool:
        """Mark the shard as closed by the reader; return whether the caller must close the body."""
        must_close = self.state is State.HANDED_OVER
        if must_close:
            self.state = State.CLOSED
        elif self.state is not State.CLOSED:
            self.state = State.ABANDONED
        return must_close
