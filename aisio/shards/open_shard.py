"""OpenShard: a shard of which nobody knows yet how long it becomes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from aisio.errors import StorageError
from aisio.formats.checksums import HASHERS
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.records import Checksum
from aisio.shards.index import ShardIndex
from aisio.shards.index_pins import pin_of
from aisio.shards.packing import PackedShard
from aisio.shards.sample_recorder import SampleRecorder
from aisio.shards.shard_file import CHECKSUM_KIND
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["OpenShard"]

_BUFFER_BYTES = 1024 * 1024


class OpenShard:
    """A shard that is being collected in a temporary file.

    No sample stays in the file's buffer: a forked process that ends would write it a second time,
    and a full disk would show with another sample.

    Raises:
        StorageError: By each method: the temporary file cannot be written.
    """

    def __init__(self) -> None:
        with _collecting():
            self.file = tempfile.TemporaryFile(buffering=_BUFFER_BYTES)  # noqa: SIM115
        self.recorder = SampleRecorder()
        self._hasher = HASHERS[CHECKSUM_KIND]()

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.recorder.samples

    @property
    def size_bytes(self) -> int:
        """Size of the archive if it ended here."""
        return self.recorder.size_bytes + len(END_OF_ARCHIVE)

    def write(self, key: str, members: list[tuple[str, bytes]]) -> None:
        """Write the members of a sample."""
        self.recorder.begin(key)
        with _collecting():
            for name, data in members:
                for part in (header(name, len(data)), data, padding(len(data))):
                    self.recorder.update(part)
                    self._hasher.update(part)
                    self.file.write(part)
            self.file.flush()

    def put(self, store: Store, url: ObjectUrl) -> tuple[PackedShard, ShardIndex]:
        """Store the shard, and return its index too."""
        self._hasher.update(END_OF_ARCHIVE)
        with _collecting():
            self.file.write(END_OF_ARCHIVE)
            self.file.seek(0)
        info = store.put(url, cast(BinaryIO, self.file))
        checksum = Checksum(CHECKSUM_KIND, self._hasher.hexdigest())
        packed = PackedShard(str(url), self.samples, self.size_bytes, checksum)
        return packed, self.recorder.finish(str(url), pin_of(info))

    def close(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):  # what was not written is dropped too
            self.file.close()


@contextmanager
def _collecting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"a shard is collected in {tempfile.gettempdir()}, which fails:"
            f" {error.strerror or error}; TMPDIR names another folder"
        ) from error
