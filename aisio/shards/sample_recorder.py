"""SampleRecorder: the index of a shard, taken down while the shard is written."""

from __future__ import annotations

from array import array

from xxhash import xxh3_64

from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.shards.index import ShardIndex, one_shard

__all__ = ["SampleRecorder"]


class SampleRecorder:
    """Notes where each sample begins and hashes its bytes, which are passed in order.

    Attributes:
        size_bytes: How many bytes were passed so far.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._starts = array("Q")
        self._hashes = array("Q")
        self._keys: list[str] = []
        self._hasher = xxh3_64()

    def begin(self, key: str) -> None:
        """Begin a sample with the next byte; the one before it ends."""
        self._end()
        self._keys.append(key)
        self._starts.append(self.size_bytes)

    def update(self, data: bytes | memoryview) -> None:
        """Pass the next bytes of the sample."""
        self._hasher.update(data)
        self.size_bytes += len(data)

    @property
    def samples(self) -> int:
        """How many samples have begun."""
        return len(self._keys)

    @property
    def keys(self) -> list[str]:
        """The keys of the samples that have begun."""
        return self._keys

    def finish(self, url: str, pin: str) -> ShardIndex:
        """Return the index of the shard, of which all bytes but its end were passed.

        Args:
            url: The shard's URL.
            pin: What tells its version; see `aisio.shards.index_pins`.
        """
        if len(self._hashes) < len(self._keys):
            self._end()
        stops = array("Q", (*self._starts[1:], self.size_bytes))
        sizes = array("Q", (stop - start for start, stop in zip(self._starts, stops, strict=True)))
        return one_shard(
            url,
            self.size_bytes + len(END_OF_ARCHIVE),
            pin,
            spans=(self._starts, sizes, self._hashes),
            samples=len(self._keys),
            keys=self._keys,
        )

    def _end(self) -> None:
        if self._keys:
            self._hashes.append(self._hasher.intdigest())
            self._hasher.reset()
