"""Quarantine: the shards that a reader skipped, recorded by any of its workers."""

from __future__ import annotations

import msgspec

from aisio.errors import AisioError, TruncatedError
from aisio.training.shared_log import SharedLog

__all__ = ["Quarantine", "SkippedShard", "is_network_fault"]


class SkippedShard(msgspec.Struct, frozen=True):
    """A shard that was skipped, or the rest of one.

    Attributes:
        url: The shard's URL.
        offset: Byte of the shard (of a compressed one: unpacked) where the error is; None where it
            has no one place: no such shard, fewer bytes, a wrong checksum.
        cause: The text of the error.
        samples_given: Number of its samples that were yielded before. After a wrong checksum these
            are suspect: nobody knows which bytes differ.
        samples_lost: Number of its samples that were not yielded; None where the rest of the shard
            could not be read to count them.
    """

    url: str
    offset: int | None
    cause: str
    samples_given: int
    samples_lost: int | None = None


class Quarantine:
    """The shards that a reader and its workers have skipped."""

    def __init__(self) -> None:
        self._records = SharedLog("quarantine")

    def detach(self) -> None:
        """Make this process the owner, with an empty list, unless it already is the owner."""
        self._records.detach()

    def add(self, entry: SkippedShard) -> None:
        """Record a shard."""
        self._records.add(msgspec.structs.asdict(entry))

    def entries(self) -> tuple[SkippedShard, ...]:
        """Return all recorded shards, in order."""
        return tuple(SkippedShard(**record) for record in self._records.records())


def is_network_fault(error: AisioError) -> bool:
    """Return whether the connection broke until the retries were spent: the shard may be good."""
    return isinstance(error, TruncatedError) and error.given_up
