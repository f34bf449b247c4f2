"""Loading the index of a tar, and checking that it is that of the tar.

The index says nothing of the tar but offsets. So it is checked where that costs little: the first
file and the end of the archive must be where the index has them, and the last file must have a
header that is valid. The headers of all other files are checked when these are read
(`member_reader`), and so is that no file is between two of them.
"""

from __future__ import annotations

from array import array
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from aisio.errors import RangeError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar import BLOCK_BYTES, TarParser
from aisio.formats.tar_header import checksum_matches
from aisio.formats.tar_index_file import MemberSpans, decode_tar_index
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_pins import pin_of
from aisio.stores import Store
from aisio.stores.tar_index import check_same_tar, refuse_global_records, walk_members
from aisio.transport.body import Body, read_with_retries
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = ["StoredFile", "load_tar_index", "not_its_index"]

_END_BYTES = 11 * 1024
"""From the end-of-archive block on, as tools pad archives to 10 KiB. What is behind is not read."""


class StoredFile(NamedTuple):
    """A tar or its index.

    Attributes:
        store: The store that has it.
        url: Its URL.
    """

    store: Store
    url: ObjectUrl


def load_tar_index(tar: StoredFile, index: StoredFile) -> ShardIndex:
    """Return the regular files of a tar as samples of a shard, without hashes and names.

    Raises:
        NotFoundError: There is no such tar, or no such index.
        ShardError: The index is damaged, or not that of the tar.
        IntegrityError: The tar was replaced meanwhile.
    """
    spans = decode_tar_index(index.store.read(index.url), name=str(index.url))
    info = tar.store.head(tar.url)
    size_bytes = info.size_bytes or 0
    if spans.end >= size_bytes:
        raise not_its_index(
            index.url,
            tar.url,
            f"it has the end of the archive at byte {spans.end:,}, and the tar has"
            f" {size_bytes:,} bytes",
            spans.end,
        )
    _check_end(tar, index.url, spans, info)
    _check_start(tar, index.url, spans, info)
    sizes = array("Q", (stop - start for start, stop in pairwise([*spans.starts, spans.end])))
    return one_shard(
        str(tar.url),
        size_bytes,
        pin_of(info),
        spans=(spans.starts, sizes, None),
        samples=len(sizes),
        keys=None,
    )


def not_its_index(index: ObjectUrl, tar: ObjectUrl, why: str, offset: int | None) -> ShardError:
    """Return the error for an index that is not that of a tar."""
    return ShardError(
        f"{one_line(str(index))}: this is not the index of {one_line(str(tar))}, or that is"
        f" damaged: {why}; make the index anew, as by `aisio tar --index-only`",
        url=str(index),
        offset=offset,
    )


def _check_end(tar: StoredFile, index: ObjectUrl, spans: MemberSpans, info: ObjectInfo) -> None:
    """Check the header of the last file, and that there are zeros from the end of the archive on.

    Of long padding the first part is read, and the last block.
    """
    size_bytes = info.size_bytes or 0
    stop = min(size_bytes, spans.end + _END_BYTES)
    parts = [ByteRange(spans.end, stop)]
    if stop < size_bytes:
        parts.append(ByteRange(max(stop, size_bytes - BLOCK_BYTES), size_bytes))
    if any(any(_read(tar, part, info)) for part in parts):
        why = f"the archive does not end at byte {spans.end:,}"
        raise not_its_index(index, tar.url, why, spans.end)
    for start in spans.starts[-1:]:
        block = _read(tar, ByteRange(start, start + BLOCK_BYTES), info)
        if not any(block) or not checksum_matches(block):
            raise not_its_index(index, tar.url, f"no file begins at byte {start:,}", start)


def _check_start(tar: StoredFile, index: ObjectUrl, spans: MemberSpans, info: ObjectInfo) -> None:
    """Check that the first file is where the index has it, and that none is before it."""
    before, first = -1, None
    parser = TarParser(str(tar.url), allow_unreadable=True)
    for member in walk_members(parser, tar.store, tar.url, info):
        if member.kind == "file":
            first = member.offset
            break
        if not member.unreadable:  # of those the OSS connector may take some for files
            before = member.offset
    start = spans.starts[0] if spans.starts else None
    refuse_global_records(parser)
    # A global header that says nothing of files may be a part of the first one.
    belongs = start is first if start is None or first is None else before < start <= first
    if not belongs:
        what = "it has no file" if start is None else f"it has the first file at byte {start:,}"
        found = "none" if first is None else f"it at byte {first:,}"
        raise not_its_index(index, tar.url, f"{what}, and the tar has {found}", start)


def _read(tar: StoredFile, span: ByteRange, info: ObjectInfo) -> bytes:
    def read(body: Body) -> bytes:
        check_same_tar(tar.store, tar.url, info, body.info)
        return body.readall()

    try:
        return read_with_retries(
            partial(tar.store.get, tar.url, span), read, Attempts(tar.store.retry_policy)
        )
    except RangeError:
        return b"?"  # the tar has become shorter
