"""Writing an `.idxpack` of indexes and data that are local, or in a store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from aisio.client.client import Client
from aisio.errors import ConfigError, ConflictError, NotFoundError, ShardError
from aisio.escapes import one_line
from aisio.formats.index_pack import (
    VALUE_BYTES,
    Form,
    PackCollection,
    PackSegment,
    collection_key,
    encode_tables,
    layout_digest,
)
from aisio.integrations.lhotse.offset_index import (
    Place,
    check_size,
    index_file_path,
    parse_index,
    place_url,
)
from aisio.integrations.lhotse.range_reader import AISRangeReader
from aisio.stores import Store, store_for
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.writer import WriteOptions
from aisio.urls import FILE, ObjectUrl

__all__ = ["IndexPackArraySpec", "IndexPackCollectionSpec", "write_index_pack"]


@dataclass(frozen=True)
class IndexPackCollectionSpec:
    """Files that belong together, in order.

    Attributes:
        role: What they are for, as in "manifest"; any text.
        kind: What they are, as in "jsonl"; any text.
        source_spec: How they were named, as JSON has it; part of the key.
        paths: Their paths or URLs.
        offsets_required: Whether the offsets of their records are packed; else the paths alone.
    """

    role: str
    kind: str
    source_spec: object
    paths: Sequence[str]
    offsets_required: bool = True

    def __post_init__(self) -> None:
        _check_names(self.role, self.kind)

    @property
    def key(self) -> bytes:
        """The 32 bytes by which a reader finds the collection."""
        return collection_key(self.role, self.kind, self.source_spec)


@dataclass(frozen=True)
class IndexPackArraySpec:
    """Values that are packed beside records, as a permutation of them.

    Attributes:
        role: What they are for; any text.
        kind: What they are; any text.
        source_spec: Part of the key, as JSON has it.
        shard_paths: Files of little-endian u32. Their paths are not kept.
    """

    role: str
    kind: str
    source_spec: object
    shard_paths: Sequence[Place]

    def __post_init__(self) -> None:
        _check_names(self.role, self.kind)

    @property
    def key(self) -> bytes:
        """The 32 bytes by which a reader finds the collection."""
        return collection_key(self.role, self.kind, self.source_spec)


def _check_names(role: str, kind: str) -> None:
    for name, value in (("role", role), ("kind", kind)):
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{name}={value!r}: expected a text that is not empty")


def write_index_pack(
    output_path: Place,
    collections: Iterable[Any],
    *,
    indexes_root: Place | None = None,
    overwrite: bool = False,
    source_size_overrides: Mapping[str, int] | None = None,
    index_path_overrides: Mapping[str, Place] | None = None,
    client: Client | None = None,
) -> Place:
    """Write an index pack: as `lhotse.index_pack.write_index_pack`, also of and to URLs.

    It appears whole, or not at all. Each index is compared with the size of its file.

    Args:
        output_path: Where it is written.
        collections: What is packed: the specifications here, or Lhotse's own.
        indexes_root: A folder or prefix that has the indexes; by default they are beside the files.
        overwrite: Replace what is there.
        source_size_overrides: Sizes of files, by path, that take the place of those in their
            indexes. The store is not asked for these.
        index_path_overrides: Where the indexes of some files are, by path.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Returns:
        Where it was written.

    Raises:
        ConflictError: There is a file, and `overwrite` is false.
        NotFoundError: A file, or the index of one, is missing.
        ShardError: An index is damaged, or of another version of its file.
        ConfigError: There are no collections, or two have the same key.
    """
    specs = list(collections)
    keys = [spec.key for spec in specs]
    if not specs or len(set(keys)) != len(keys):
        problem = "two collections have the same role, kind and source_spec" if specs else "nothing"
        raise ConfigError(f"{output_path}: {problem} to pack")
    url = place_url(output_path)
    store = store_for(url, client)
    if not overwrite and _exists(store, url):
        raise ConflictError(f"{url} exists: pass overwrite=True to replace it", url=str(url))
    sources = _Sources(
        client, indexes_root, index_path_overrides or {}, source_size_overrides or {}
    )
    with tempfile.TemporaryFile() as payloads:
        tables = _Packing(sources, payloads).pack(specs)
        payloads.seek(0)
        if url.provider == FILE:
            Path(f"/{url.name}").parent.mkdir(parents=True, exist_ok=True)
        with store.writer(url, WriteOptions()) as out:
            out.write(tables)
            shutil.copyfileobj(payloads, out, 1 << 20)
    return output_path


def _exists(store: Store, url: ObjectUrl) -> bool:
    try:
        store.head(url)
    except NotFoundError:
        return False
    return True


@dataclass
class _Sources:
    """Reads indexes and the sizes of files, several at once.

    Attributes:
        client: See `write_index_pack`; so all others.
    """

    client: Client | None
    indexes_root: Place | None
    index_paths: Mapping[str, Place]
    sizes: Mapping[str, int]

    def indexes(self, paths: Iterable[str]) -> Iterator[bytes]:
        """Yield the indexes of files, as they are to be packed."""
        return fetch_in_order(paths, self._index, result_bytes=len)

    def _index(self, path: str) -> bytes:
        place = self.index_paths.get(path, index_file_path(path, self.indexes_root))
        url, source = place_url(place), place_url(path)
        data = store_for(url, self.client).read(url)
        indexed = parse_index(data, str(url))[-1]
        if path in self.sizes:
            size = self.sizes[path]
            if len(data) > 8 and size <= int.from_bytes(data[-16:-8], "little"):
                raise ShardError(f"{one_line(str(url))}: it has records from byte {size} on")
            return data[:-8] + size.to_bytes(8, "little")
        check_size(indexed, AISRangeReader(str(source), client=self.client), str(url))
        return data

    def values(self, paths: Iterable[Place]) -> Iterator[bytes]:
        """Yield the content of files of values."""
        return fetch_in_order(paths, self._values, result_bytes=len)

    def _values(self, path: Place) -> bytes:
        url = place_url(path)
        data = store_for(url, self.client).read(url)
        if len(data) % 4:
            raise ShardError(f"{one_line(str(url))}: {len(data)} bytes are not values of 4 bytes")
        return data


class _Packing:
    """Appends the payloads of collections to a file, and makes their tables.

    Args:
        sources: Reads them.
        payloads: Takes the payloads.
    """

    def __init__(self, sources: _Sources, payloads: IO[bytes]) -> None:
        self._sources = sources
        self._payloads = payloads
        self._segments: list[PackSegment] = []
        self._sequences: list[tuple[int, int]] = []
        self._numbers: dict[tuple[str, Form], int] = {}

    def pack(self, specs: Sequence[Any]) -> bytes:
        """Return the tables of collections."""
        rows, layout = [], []
        for spec in specs:
            first = len(self._sequences)
            form = _form(spec)
            found = self._add_values(spec) if form == "uint32" else self._add_files(spec, form)
            records = 0
            for number in found:
                records += self._segments[number].records
                self._sequences.append((number, records))
            rows.append(PackCollection(spec.key, spec.kind, form, first, len(found), records))
            counts = [self._segments[number].numbers for number in found]
            members = counts if form == "uint32" else [os.fspath(one) for one in spec.paths]
            layout.append((spec.key, form, members))
        return encode_tables(rows, self._sequences, self._segments, layout_digest(layout))

    def _add_values(self, spec: Any) -> list[int]:
        return [
            self._add("", "uint32", data, None) for data in self._sources.values(spec.shard_paths)
        ]

    def _add_files(self, spec: Any, form: Form) -> list[int]:
        paths = [os.fspath(path) for path in spec.paths]
        new = [path for path in dict.fromkeys(paths) if (path, form) not in self._numbers]
        if form == "paths":
            sizes = [self._sources.sizes.get(path) for path in new]
            known = iter([(size or 0).to_bytes(8, "little") for size in sizes])
        else:
            sizes = [None] * len(new)
            known = self._sources.indexes(new)
        for path, size, data in zip(new, sizes, known, strict=True):
            if form == "offsets":
                size = int.from_bytes(data[-8:], "little")
            self._numbers[path, form] = self._add(path, form, data, size)
        return [self._numbers[path, form] for path in paths]

    def _add(self, path: str, form: Form, data: bytes, source_bytes: int | None) -> int:
        self._payloads.write(data)
        count = len(data) // VALUE_BYTES[form]
        self._segments.append(PackSegment(path, form, count, source_bytes, crc32(data)))
        return len(self._segments) - 1


def _form(spec: Any) -> Form:
    if hasattr(spec, "shard_paths"):
        return "uint32"
    return "offsets" if spec.offsets_required else "paths"
