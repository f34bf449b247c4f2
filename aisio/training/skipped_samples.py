"""SkippedSamples: the samples that a dataset left out, recorded by any of its workers."""

from __future__ import annotations

import logging

import msgspec

from aisio.errors import DecodeError
from aisio.shards.samples import Sample
from aisio.training.shared_log import SharedLog

__all__ = ["SkippedSample", "SkippedSamples"]

MAX_IN_A_ROW = 100
"""So many samples that cannot be decoded, one after the other, are no accident: the decoder or the
data is not the right one. Megatron-Energon gives up after as many."""

_log = logging.getLogger("aisio.samples")


class SkippedSample(msgspec.Struct, frozen=True):
    """A sample that was skipped, as a field of it could not be decoded.

    Attributes:
        url: The shard's URL.
        key: The sample's whole key.
        offset: Byte of the shard where the sample begins.
        cause: The text of the error.
    """

    url: str
    key: str
    offset: int
    cause: str


class SkippedSamples:
    """The samples that a dataset and its workers have skipped."""

    def __init__(self) -> None:
        self._records = SharedLog("skipped-samples")
        self._in_a_row = 0

    def detach(self) -> None:
        """Make this process the owner, with an empty list, unless it already is the owner."""
        self._records.detach()

    def add(self, sample: Sample, error: DecodeError) -> None:
        """Record a sample, with a warning in the log.

        Raises:
            DecodeError: So many came in a row in this process that there must be another reason.
        """
        self._in_a_row += 1
        if self._in_a_row >= MAX_IN_A_ROW:
            raise DecodeError(
                f"{error}; this is sample {self._in_a_row} in a row that cannot be decoded"
            ) from error
        entry = SkippedSample(sample.url, sample.key, sample.offset, str(error))
        self._records.add(msgspec.structs.asdict(entry))
        _log.warning("skipped a sample: %s", error)

    def end_row(self) -> None:
        """Note that a sample was decoded."""
        self._in_a_row = 0

    def entries(self) -> tuple[SkippedSample, ...]:
        """Return all recorded samples, in order."""
        return tuple(SkippedSample(**record) for record in self._records.records())
