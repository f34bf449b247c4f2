"""IndexPack: the records of many files by number, from one `.idxpack`, local or in a store.

    pack.collection(key).locate(7)      where record 7 is: path, first byte, one past the last
    pack.collection(key).read(7)        its bytes

See `aisio.formats.index_pack` for the format, and `index_pack_writer` for how it is written.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path
from struct import unpack_from
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

from aisio.client.client import Client
from aisio.errors import ShardError
from aisio.escapes import one_line
from aisio.formats.index_pack import (
    IndexPackTables,
    PackCollection,
    PackSegment,
    encode_tables,
    layout_digest,
)
from aisio.integrations.lhotse.object_files import open_whole
from aisio.integrations.lhotse.offset_index import Place, check_size, place_url
from aisio.integrations.lhotse.range_reader import AISRangeReader
from aisio.stores import store_for
from aisio.urls import FILE, ObjectUrl

__all__ = ["IndexPack", "PackedIndexCollection", "PackedIndexLocation"]

_MAX_READERS = 32


class PackedIndexLocation(NamedTuple):
    """Where a record is.

    Attributes:
        path: Its file.
        start: Its first byte.
        end: One past its last byte.
        segment_id: The number of the file in the pack.
        shard_index: The number of the file in the collection.
        local_index: The number of the record in the file.
    """

    path: str
    start: int
    end: int
    segment_id: int
    shard_index: int
    local_index: int


class IndexPack:
    """An index pack that is open for reading.

    It is mapped into memory. One in a store is first read into a temporary file, which has no name.
    The offsets of a file are verified by their CRC-32 when they are first used. A pack pickles:
    each process opens it anew, and it must be the same one. Threads that read records need a pack
    each.

    Args:
        path: The pack: a path or URL.
        expected_layout_hash: 32 bytes, or 64 hexadecimal digits, that the pack must have.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Attributes:
        path: As above.
        layout_hash: The SHA-256 of what is in the pack: collections and paths.

    Raises:
        NotFoundError: There is no such file.
        ShardError: It is not an index pack, or it is cut or damaged, or not the expected one.
    """

    def __init__(
        self,
        path: Place,
        *,
        expected_layout_hash: str | bytes | None = None,
        client: Client | None = None,
    ) -> None:
        self.path = path
        self._client = client
        url = place_url(path)
        self._name = one_line(str(url))
        self._map = _mapped(url, client)
        self._view = memoryview(self._map)
        self._tables = IndexPackTables(self._view, self._name)
        self._verified: set[int] = set()
        self._readers: OrderedDict[str, AISRangeReader] = OrderedDict()
        self.layout_hash: bytes = self._tables.layout
        expected = expected_layout_hash
        if isinstance(expected, str):
            expected = bytes.fromhex(expected)
        if expected is not None and expected != self.layout_hash:
            raise ShardError(
                f"{self._name}: this index pack is of other files or collections than are expected:"
                f" its layout is {self.layout_hash.hex()}",
                url=self._name,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.layout_hash, self._client)

    def __repr__(self) -> str:
        collections = len(self._tables.collections)
        return f"IndexPack({self._name!r}, {collections} collections, {self.num_segments} files)"

    @property
    def num_collections(self) -> int:
        """How many collections there are."""
        return len(self._tables.collections)

    @property
    def num_segments(self) -> int:
        """How many files there are."""
        return self._tables.segments

    def collection(self, key: bytes | str) -> PackedIndexCollection:
        """Return a collection by its key: 32 bytes, or 64 hexadecimal digits.

        Raises:
            KeyError: There is none.
        """
        key = bytes.fromhex(key) if isinstance(key, str) else key
        if key not in self._tables.collections:
            raise KeyError(f"{self._name}: there is no collection {key.hex()}")
        return PackedIndexCollection(self, self._tables.collections[key])

    def verify_segment(self, segment_id: int) -> None:
        """Verify the offsets or values of a file.

        Raises:
            IndexError: There is no such file.
            ShardError: They are damaged.
        """
        if not 0 <= segment_id < self.num_segments:
            raise IndexError(f"{self._name}: segment {segment_id} of {self.num_segments}")
        segment = self._tables.segment(segment_id)
        if crc32(self._tables.payload(segment)) != segment.crc32:
            raise ShardError(
                f"{self._name}: this index pack is damaged: the CRC-32 of segment {segment_id}"
                f" ({one_line(segment.path) or 'values'}) is wrong",
                url=self._name,
            )
        self._verified.add(segment_id)

    def sequence(self, row: int) -> tuple[int, int]:
        """Return the segment of a row, and how many records there are up to its end."""
        return self._tables.sequence(row)

    def segment(self, segment_id: int) -> PackSegment:
        """Return a file; errors as for `verify_segment`."""
        if segment_id not in self._verified:
            self.verify_segment(segment_id)
        return self._tables.segment(segment_id)

    def numbers(self, segment: PackSegment, first: int, count: int) -> list[int]:
        """Return some numbers of the payload of a file."""
        form = "I" if segment.form == "uint32" else "Q"
        return list(unpack_from(f"<{count}{form}", self._tables.payload(segment), first))

    def read(self, location: PackedIndexLocation) -> bytes:
        """Return the bytes of a record, of the version of its file that is indexed.

        Raises:
            NotFoundError: The file is missing.
            ShardError: It is of another size than the index says.
        """
        reader = self._readers.pop(location.path, None)
        if reader is None:
            reader = AISRangeReader(str(place_url(location.path)), client=self._client)
            segment = self._tables.segment(location.segment_id)
            check_size(segment.source_bytes or 0, reader, self._name)
        self._readers[location.path] = reader
        if len(self._readers) > _MAX_READERS:
            self._readers.popitem(last=False)
        reader.seek(location.start)
        data = reader.read(location.end - location.start)
        if len(data) != location.end - location.start:
            raise ShardError(
                f"{one_line(location.path)}: there is no record at bytes {location.start} to"
                f" {location.end}, where {self._name} says there is one",
                url=location.path,
            )
        return data

    def close(self) -> None:
        """Release the memory; the pack is of no more use."""
        self._readers.clear()
        self._tables = IndexPackTables(memoryview(_EMPTY), self._name)
        self._view.release()
        self._map.close()

    def __enter__(self) -> IndexPack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_EMPTY = encode_tables([], [], [], layout_digest([]))


def _mapped(url: ObjectUrl, client: Client | None) -> mmap.mmap:
    store = store_for(url, client)
    if not store.head(url).size_bytes:
        raise ShardError(f"{one_line(str(url))}: this index pack is empty", url=str(url))
    if url.provider == FILE:
        with Path(f"/{url.name}").open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with tempfile.TemporaryFile() as copy, open_whole(store, url) as source:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)


def _reopened(path: Place, layout: bytes, client: Client | None) -> IndexPack:
    return IndexPack(path, expected_layout_hash=layout, client=client)


class PackedIndexCollection:
    """The records, or values, of a collection, by number; made by `IndexPack.collection`.

    Numbers below 0 count from the end.

    Args:
        pack: The pack.
        about: What it says of the collection.
    """

    def __init__(self, pack: IndexPack, about: PackCollection) -> None:
        self.pack = pack
        self._about = about

    def __len__(self) -> int:
        return self._about.records

    @property
    def key(self) -> bytes:
        """Its key."""
        return self._about.key

    @property
    def kind(self) -> str:
        """What its files are, as the writer named it."""
        return self._about.kind

    @property
    def num_shards(self) -> int:
        """How many files it has."""
        return self._about.shards

    @property
    def is_array(self) -> bool:
        """Whether it has values, and no records."""
        return self._about.form == "uint32"

    @property
    def offsets_required(self) -> bool:
        """Whether it has the offsets of records."""
        return self._about.form == "offsets"

    def path_for_shard(self, shard_index: int) -> str:
        """Return the path of a file.

        Raises:
            IndexError: There is no such file.
            TypeError: It has values.
        """
        self._require(not self.is_array, "has values, and no files")
        return self._segment(shard_index)[1].path

    def source_size_for_shard(self, shard_index: int) -> int | None:
        """Return the size of a file, None if it is not known; errors as for `path_for_shard`."""
        self._require(not self.is_array, "has values, and no files")
        return self._segment(shard_index)[1].source_bytes

    def shard_length(self, shard_index: int) -> int:
        """Return how many records or values a file has.

        Raises:
            IndexError: There is no such file.
        """
        return self._segment(shard_index)[1].records

    def locate(self, index: int) -> PackedIndexLocation:
        """Return where a record is.

        Raises:
            IndexError: There is no such record.
            TypeError: The collection has values.
        """
        return self.locate_in_shard(*self._place(index))

    def locate_in_shard(self, shard_index: int, local_index: int) -> PackedIndexLocation:
        """Return where a record of a file is; errors as for `locate`."""
        self._require(not self.is_array, "has values: use value()")
        number, segment = self._segment(shard_index)
        shard_index = _counted(shard_index, self.num_shards, "file")
        local_index = _counted(local_index, segment.records, "record")
        start, end = self.pack.numbers(segment, 8 * local_index, 2)
        return PackedIndexLocation(segment.path, start, end, number, shard_index, local_index)

    def read(self, index: int) -> bytes:
        """Return the bytes of a record, from wherever its file is; errors as for `locate`.

        Raises:
            NotFoundError: The file is missing.
            ShardError: The file is of another size than the index says.
        """
        return self.pack.read(self.locate(index))

    def value(self, index: int) -> int:
        """Return a value.

        Raises:
            IndexError: There is no such value.
            TypeError: The collection has records.
        """
        return self.value_in_shard(*self._place(index))

    def value_in_shard(self, shard_index: int, local_index: int) -> int:
        """Return a value of a file; errors as for `value`."""
        self._require(self.is_array, "has records: use locate()")
        _, segment = self._segment(shard_index)
        local_index = _counted(local_index, segment.records, "value")
        (value,) = self.pack.numbers(segment, 4 * local_index, 1)
        return value

    def _require(self, is_so: bool, what: str) -> None:
        if not is_so:
            raise TypeError(f"collection {self.key.hex()} {what}")

    def _segment(self, shard_index: int) -> tuple[int, PackSegment]:
        row = self._about.first + _counted(shard_index, self.num_shards, "file")
        number, _ = self.pack.sequence(row)
        return number, self.pack.segment(number)

    def _place(self, index: int) -> tuple[int, int]:
        """Return the number of a record's file, and its number in that."""
        index = _counted(index, len(self), "record")
        first = self._about.first
        rows = range(first, first + self.num_shards)
        shard = bisect_right(rows, index, key=lambda row: self.pack.sequence(row)[1])
        before = self.pack.sequence(first + shard - 1)[1] if shard else 0
        return shard, index - before


def _counted(index: int, count: int, what: str) -> int:
    """Return a number from 0 on; errors name it as the caller gave it."""
    found = index + count if index < 0 else index
    if not 0 <= found < count:
        raise IndexError(f"there is no {what} {index}: there are {count}")
    return found
