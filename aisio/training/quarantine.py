"""Which shards were skipped: noted by any worker of a reader, read by whoever has the reader."""

from __future__ import annotations

import msgspec

from aisio.training.shared_log import SharedLog

__all__ = ["Quarantine", "SkippedShard"]


class SkippedShard(msgspec.Struct, frozen=True):
    """A shard that was given up, or its rest.

    Attributes:
        url: The shard's URL.
        offset: Byte of the shard (of a compressed one: unpacked) where the trouble was met; None
            where it is not in one place: no such shard, fewer bytes, a wrong checksum.
        cause: What was wrong, as the error says it.
        samples_given: So many of its samples were handed out before. After a wrong checksum these
            are suspect: nobody knows which bytes differ.
        samples_lost: So many were not; None where the shard could not be read on to count them.
    """

    url: str
    offset: int | None
    cause: str
    samples_given: int
    samples_lost: int | None = None


class Quarantine:
    """The shards that a reader and its workers have skipped."""

    def __init__(self) -> None:
        self._ledger = SharedLog("quarantine")

    def part(self) -> None:
        """Go on as a list of this process's own, unless it already is one."""
        self._ledger.part()

    def add(self, entry: SkippedShard) -> None:
        """Note a shard."""
        self._ledger.add(msgspec.structs.asdict(entry))

    def entries(self) -> tuple[SkippedShard, ...]:
        """Return all that was noted so far, in that order."""
        return tuple(SkippedShard(**record) for record in self._ledger.records())
