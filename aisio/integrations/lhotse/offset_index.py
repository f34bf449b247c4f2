"""Lhotse's `.idx` files: where the records of a JSONL file, or the samples of Shar, begin.

An index is a row of little-endian u64: the offset of each record, then the size of the file. A
sample of Shar is two files of a tar, data and metadata; its offset is that of the first header.

Data and indexes may be local files or objects of any store.

Source:
    lhotse 2.0.0a7, lhotse/indexing.py.
"""

from __future__ import annotations

import operator
import os
import sys
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from aisio.client.client import Client
from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar import END, NEED_DATA, TarMember, TarParser
from aisio.integrations.lhotse.object_files import open_whole
from aisio.integrations.lhotse.range_reader import AISRangeReader
from aisio.stores import store_for
from aisio.urls import FILE, ObjectUrl

__all__ = [
    "Place",
    "check_size",
    "create_jsonl_index",
    "create_tar_index",
    "index_file_path",
    "is_file",
    "parse_index",
    "place_url",
    "read_index",
]

Place: TypeAlias = "str | os.PathLike[str]"
"""A path, or a URL."""

_PIECE_BYTES = 1024 * 1024
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".lz4", ".zst")
_MAX_END_BYTES = 1 << 20
"""Behind the end-of-archive block; tapes pad an archive to 10 KiB, some tools to more."""


def place_url(place: Place) -> ObjectUrl:
    """Return the URL of a file or object.

    Raises:
        UrlError: The URL is not that of an object.
    """
    if isinstance(place, str) and "://" in place:
        return ObjectUrl.parse(place).require_object()
    return ObjectUrl.parse(f"file://{os.path.abspath(place)}").require_object()  # noqa: PTH100


def index_file_path(data_path: Place, indexes_root: Place | None = None) -> str:
    """Return where the index of a file is: beside it, or below a root, by its path.

    Args:
        data_path: The file.
        indexes_root: A folder or prefix that has all indexes. The scheme of the file's URL is left
            out of their paths.
    """
    data = os.fspath(data_path)
    if indexes_root is None:
        return f"{data}.idx"
    below = data.partition("://")[2] if "://" in data else data
    return f"{os.fspath(indexes_root).rstrip('/')}/{below.lstrip('/')}.idx"


def parse_index(data: bytes, name: str) -> array[int]:
    """Return the offsets of records, and the size of their file, that an index has.

    Args:
        data: The index.
        name: Its path or URL, for errors.

    Raises:
        ShardError: It is not an index.
    """
    if not data or len(data) % 8:
        raise _wrong(name, f"{len(data)} bytes are not numbers of 8 bytes each, at least one")
    offsets = array("Q", data)
    if sys.byteorder == "big":
        offsets.byteswap()
    if not all(map(operator.lt, offsets, islice(offsets, 1, None))):
        raise _wrong(name, "its offsets do not ascend")
    return offsets


def read_index(
    index_path: Place, *, data_path: Place | None = None, client: Client | None = None
) -> array[int]:
    """Read an index.

    Args:
        index_path: The index.
        data_path: The file that it is of: its size is compared.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Returns:
        The offset of each record, then the size of the file.

    Raises:
        NotFoundError: There is no index, or no such file.
        ShardError: It is not an index, or not of this version of the file.
    """
    url = place_url(index_path)
    offsets = parse_index(store_for(url, client).read(url), str(url))
    if data_path is not None:
        data = AISRangeReader(str(place_url(data_path)), client=client)
        check_size(offsets[-1], data, str(url))
    return offsets


def check_size(indexed: int, data: AISRangeReader, name: str) -> None:
    """Compare the size of a file that an index says with what its store says.

    Of a tar, Lhotse's index may leave out the zeros at the end.

    Args:
        indexed: What the index says.
        data: The file.
        name: The path or URL of the index, for errors.

    Raises:
        NotFoundError: There is no such file.
        ShardError: The index is of another version of the file.
    """
    if data.size != indexed and not _has_zeros_behind(data, indexed):
        raise _wrong(
            name,
            f"it is of a file of {indexed:,} bytes, and {one_line(str(data.url))} has"
            f" {data.size:,}: make it anew",
        )


def _has_zeros_behind(data: AISRangeReader, indexed: int) -> bool:
    if not data.url.name.endswith(".tar") or not 0 < data.size - indexed <= _MAX_END_BYTES:
        return False
    data.seek(indexed)
    return not data.read().strip(b"\0")


def create_jsonl_index(
    jsonl_path: Place, output_path: Place | None = None, *, client: Client | None = None
) -> Place:
    """Index the lines of an uncompressed JSONL file.

    Args:
        jsonl_path: The file.
        output_path: Where the index is written; by default beside the file.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Returns:
        Where it was written.

    Raises:
        ConfigError: The name is that of a compressed file.
    """
    url = _uncompressed(jsonl_path)
    offsets, size = array("Q", [0]), 0
    with open_whole(store_for(url, client), url) as file:
        while data := file.read(_PIECE_BYTES):
            offsets.extend(size + end for end in _line_ends(data))
            size += len(data)
    if offsets[-1] != size:
        offsets.append(size)  # the last line has no line break
    return _write(offsets, jsonl_path, output_path, client)


def _line_ends(data: bytes) -> Iterator[int]:
    end = data.find(b"\n") + 1
    while end:
        yield end
        end = data.find(b"\n", end) + 1


def create_tar_index(
    tar_path: Place, output_path: Place | None = None, *, client: Client | None = None
) -> Place:
    """Index the samples of an uncompressed tar of Shar.

    Args:
        tar_path: The tar.
        output_path: Where the index is written; by default beside the tar.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Returns:
        Where it was written.

    Raises:
        ConfigError: The name is that of a compressed file.
        ShardError: The tar is cut or damaged, or has links, or its files are not pairs of data and
            metadata.
    """
    url = _uncompressed(tar_path)
    offsets = array("Q")
    first: TarMember | None = None
    with open_whole(store_for(url, client), url) as file:
        for member in _files(file, str(url)):
            if first is None:
                offsets.append(member.offset)
                first = member
                continue
            if PurePosixPath(first.name).stem != PurePosixPath(member.name).stem:
                raise _no_pair(url, first)
            first = None
        if first is not None:
            raise _no_pair(url, first)
        offsets.append(file.tell())
    return _write(offsets, tar_path, output_path, client)


def _files(file: object, about: str) -> Iterator[TarMember]:
    parser = TarParser(about)
    while (event := parser.next_event()) is not END:
        if event is NEED_DATA:
            count = file.readinto(parser.get_buffer())  # type: ignore[attr-defined]
            if count:
                parser.buffer_updated(count)
            else:
                parser.finish()
        elif isinstance(event, TarMember):
            parser.skip_payload()
            if is_file(event, about):
                yield event


def is_file(member: TarMember, about: str) -> bool:
    """Tell whether a member of a tar of Shar is a file, and no directory or the like.

    Raises:
        ShardError: It is a link. The file behind it would be taken for its data.
    """
    if member.kind in ("hardlink", "symlink"):
        raise ShardError(
            f"{one_line(about)}: {member.name!r} at byte {member.offset} is a link to"
            f" {member.link_name!r}: samples of Shar have their data themselves",
            url=about,
            offset=member.offset,
        )
    return member.kind == "file"


def _no_pair(url: ObjectUrl, member: TarMember) -> ShardError:
    return ShardError(
        f"{one_line(str(url))}: {member.name!r} at byte {member.offset} has no second file of its"
        " name behind it: samples of Shar are pairs of data and metadata",
        url=str(url),
        offset=member.offset,
    )


def _uncompressed(place: Place) -> ObjectUrl:
    url = place_url(place)
    if url.name.endswith(_COMPRESSED):
        raise ConfigError(f"{one_line(str(url))}: a compressed file has no index: decompress it")
    return url


def _write(
    offsets: array[int], data_path: Place, output_path: Place | None, client: Client | None
) -> Place:
    place = output_path if output_path is not None else index_file_path(data_path)
    if sys.byteorder == "big":
        offsets.byteswap()
    url = place_url(place)
    if url.provider == FILE:
        Path(f"/{url.name}").parent.mkdir(parents=True, exist_ok=True)
    store_for(url, client).put(url, offsets.tobytes())
    return place


def _wrong(name: str, what: str) -> ShardError:
    return ShardError(f"{one_line(name)}: this index cannot be used: {what}", url=name)
