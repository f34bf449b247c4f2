"""Indexes of other tools that stand beside a shard: x.tar.idx or x.idx.

They have no hashes: what is read by them is not verified, except by its tar headers. So an index of
another tool is checked before it is used: its size and order, and the headers at some offsets. What
is read later at an offset that has no header is an error then.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

from aisio.errors import AccessError, NotFoundError, ShardError
from aisio.escapes import one_line
from aisio.formats.other_indexes import OtherIndex, parse_other_index
from aisio.formats.tar import BLOCK_BYTES
from aisio.formats.tar_header import checksum_matches
from aisio.formats.tar_index_file import TAR_INDEX_MAGIC
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_pins import pin_of
from aisio.shards.samples import split_name
from aisio.stores import Store
from aisio.transport.body import read_with_retries
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = ["OtherIndexes"]

_log = logging.getLogger("aisio.shard_index")

_CHECKED_HEADERS = 8


class OtherIndexes:
    """Finds the indexes of other tools beside shards.

    A prefix has them or has none: if the first shard has none, no others are looked for.

    Args:
        store: The store that has the shards.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suffix: str | None = None  # of the files that were found; "" after a miss

    def find(self, info: ObjectInfo) -> ShardIndex | None:
        """Return the index of a shard; None if there is none. The first one is logged.

        Raises:
            ShardError: It is not an index, or it does not fit the shard.
            StorageError: It cannot be read.
        """
        if self._suffix == "" or not info.name.endswith(".tar") or info.size_bytes is None:
            return None
        shard = ObjectUrl.parse(f"{info.root}/").with_name(info.name)
        for suffix in [self._suffix] if self._suffix else [".tar.idx", ".idx"]:
            url = shard.with_name(f"{info.name.removesuffix('.tar')}{suffix}")
            try:
                data = self._store.read(url)
            except (NotFoundError, AccessError):
                continue
            if data.startswith(TAR_INDEX_MAGIC):
                text = "%s: this index has files and no samples; AISMapDataset.from_tar reads by it"
                _log.info(text, one_line(str(url)))
                continue
            other = parse_other_index(data, name=str(url), size_bytes=info.size_bytes)
            self._check_headers(shard, other, str(url))
            if self._suffix is None:
                text = (
                    "%s: the shards are read by the index of %s, which has no hashes: samples are"
                    " not verified; `aisio index` makes one that has"
                )
                _log.warning(text, one_line(str(url)), other.tool)
            self._suffix = suffix
            return _shard_index(info, other)
        self._suffix = self._suffix or ""
        return None

    def _check_headers(self, shard: ObjectUrl, other: OtherIndex, name: str) -> None:
        """Check that there are headers at some of the offsets, the first and the last among them.

        Raises:
            ShardError: There is none.
        """
        last = len(other.starts) - 1
        steps = min(_CHECKED_HEADERS - 1, last)
        numbers = {last * step // steps for step in range(steps + 1)} if steps else {0}
        for start in sorted(other.starts[number] for number in numbers):
            byte_range = ByteRange(start, start + BLOCK_BYTES)
            block = read_with_retries(
                partial(self._store.get, shard, byte_range),
                lambda body: body.readall(),
                Attempts(self._store.retry_policy),
            )
            if len(block) != BLOCK_BYTES or not any(block) or not checksum_matches(block):
                raise ShardError(
                    f"{one_line(name)}: this index of a tar cannot be used: there is no header at"
                    f" byte {start} of {one_line(str(shard))}; remove it, or make it anew",
                    url=name,
                    offset=start,
                )


def _shard_index(info: ObjectInfo, other: OtherIndex) -> ShardIndex:
    starts = other.starts
    sizes = array("Q", (stop - start for start, stop in pairwise([*starts, other.end])))
    keys = None if other.names is None else list(_keys(other.names, info.url))
    return one_shard(
        info.url,
        info.size_bytes or 0,
        pin_of(info),
        spans=(starts, sizes, None),
        samples=len(starts),
        keys=keys,
    )


def _keys(names: Iterable[Sequence[str]], url: str) -> Iterable[str]:
    """Yield the keys of samples by the names of their files.

    Raises:
        ShardError: A sample is not one here: names are grouped in another way.
    """
    for files in names:
        keys = {split[0] for split in map(split_name, files) if split is not None}
        if len(keys) != 1:
            raise ShardError(
                f"{one_line(url)}: its index has a sample of the files {', '.join(files)}, which"
                " are not files of one sample here; `aisio index` makes an index of its own",
                url=url,
            )
        yield keys.pop()
