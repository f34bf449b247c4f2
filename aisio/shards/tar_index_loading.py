"""Loading the index of a tar, and checking that it is that of the tar.

The index says nothing of the tar but offsets. So it is checked where that costs little: the end of
the archive must be where the index has it, and the first and the last file must have a header that
is valid. The headers of all other files are checked when these are read (`member_reader`).
"""

from __future__ import annotations

from array import array
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from aisio.errors import RangeError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar_header import BLOCK_BYTES, checksum_matches
from aisio.formats.tar_index_file import MemberSpans, decode_tar_index
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_pins import pin_of
from aisio.stores import Store
from aisio.stores.tar_index import check_same_tar
from aisio.transport.body import Body, read_with_retries
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = ["StoredFile", "load_tar_index", "not_its_index"]

_MAX_END_BYTES = 1 << 20
"""Behind the end-of-archive block; tapes pad an archive to 10 KiB, some tools to more."""


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
    if not spans.end < size_bytes <= spans.end + _MAX_END_BYTES:
        raise not_its_index(
            index.url,
            tar.url,
            f"it has the end of the archive at byte {spans.end:,}, and the tar has"
            f" {size_bytes:,} bytes",
            spans.end,
        )
    _check_blocks(tar, index.url, spans, info)
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


def _check_blocks(tar: StoredFile, index: ObjectUrl, spans: MemberSpans, info: ObjectInfo) -> None:
    """Check the end of the archive, and the headers of its first and its last file."""
    if any(_read_block(tar, spans.end, info)):
        why = f"the archive does not end at byte {spans.end:,}"
        raise not_its_index(index, tar.url, why, spans.end)
    for start in sorted({*spans.starts[:1], *spans.starts[-1:]}):
        block = _read_block(tar, start, info)
        if not any(block) or not checksum_matches(block):
            raise not_its_index(index, tar.url, f"no file begins at byte {start:,}", start)


def _read_block(tar: StoredFile, start: int, info: ObjectInfo) -> bytes:
    def read(body: Body) -> bytes:
        check_same_tar(tar.store, tar.url, info, body.info)
        return body.readall()

    byte_range = ByteRange(start, start + BLOCK_BYTES)
    try:
        return read_with_retries(
            partial(tar.store.get, tar.url, byte_range), read, Attempts(tar.store.retry_policy)
        )
    except RangeError:
        return b"?"  # the tar has become shorter
