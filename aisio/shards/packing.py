"""Pack a folder of files into tar shards of samples, in a folder or a bucket.

There are two steps. plan_folder() reads names and sizes only, and decides which shards there will
be: it finds what is wrong with a folder before anything is written. write_shards() streams one
shard after the other into a store, which shows it under its name when it is complete. No shard is
ever held in memory or on disk, because its size is known before its first byte is read. The plan
holds the name of each file, about 0.3 KB a file.

The same files give the same bytes, anywhere and at any time: samples are sorted by key and their
members by extension, and a shard stores no owner, mode or time of a file.

Links to files and folders are followed wherever they lead: caches and version control of data make
folders of links. A link to nowhere is an error; a link to a folder that it is in is left out.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from aisio.client.client import Client
from aisio.errors import ConfigError, ConflictError, NotFoundError
from aisio.records import Checksum
from aisio.shards.plan import Plan, plan_folder
from aisio.shards.writer import ShardFile
from aisio.stores import Store, store_for
from aisio.urls import FILE, ObjectUrl


class PackedShard(msgspec.Struct, frozen=True):
    """A shard that was written.

    Attributes:
        url: Its URL.
        samples: Number of samples.
        size_bytes: Size of the whole archive.
        checksum: Of the whole archive.
    """

    url: str
    samples: int
    size_bytes: int
    checksum: Checksum


def pack_folder(
    folder: str | os.PathLike[str],
    url: str | ObjectUrl,
    *,
    samples: int | None = None,
    size_bytes: int | None = None,
    prefix: str = "shard",
    strict: bool = False,
    overwrite: bool = False,
    client: Client | None = None,
) -> Iterator[PackedShard]:
    """Pack a folder's files into tar shards `{prefix}-000000.tar` and so on below a URL.

    The call reads the folder; the iterator that it returns writes the shards. A UserWarning names
    samples whose extensions differ from the others', and files that are left out.

    Args:
        folder: Where the files are; `aisio.shards.reader` says what belongs to one sample.
        url: Bucket or folder to write to, as in "ais://digits/train" or "file:///data/train".
        samples: Samples in each shard but the last.
        size_bytes: Instead, the maximum size of a shard, 256 MiB by default. A sample never spans
            two shards, so a sample that is larger gets a larger shard for itself.
        prefix: What shard names begin with.
        strict: Refuse samples whose extensions differ, before anything is written.
        overwrite: Replace the shards of an earlier run, and delete those that this run does not
            replace.
        client: The cluster, for all but file URLs; by default one made from the environment.

    Yields:
        Each shard once it is stored.

    Raises:
        ConfigError: An impossible number or prefix, or nothing to pack.
        ShardError: With strict, samples differ.
        ConflictError: Shards of this prefix exist, and overwrite is false.
        StorageError: A file changed or vanished while it was packed, or the store failed.
    """
    target = ObjectUrl.parse(url) if isinstance(url, str) else url
    plan = plan_folder(folder, samples=samples, size_bytes=size_bytes, prefix=prefix, strict=strict)
    for text in plan.warnings():
        warnings.warn(f"pack {plan.folder}: {text}", stacklevel=2)
    return write_shards(plan, target, store=store_for(target, client), overwrite=overwrite)


def write_shards(
    plan: Plan, url: ObjectUrl, *, store: Store, overwrite: bool = False
) -> Iterator[PackedShard]:
    """Write the shards of a plan below a URL; yields and errors as for pack_folder().

    With overwrite, each shard replaces the older one of its name when it is complete, and the other
    older shards are deleted last. Until then a reader may see shards of both runs.
    """
    _check_outside(plan.folder, url)
    old = _existing_shards(store, url, plan.prefix)
    if old and not overwrite:
        raise ConflictError(
            f"pack {plan.folder}: {url} has {len(old):,} shards of an earlier run, the first"
            f" {old[0]}; overwrite them (--overwrite), or choose another prefix (--prefix)",
            url=str(url),
        )
    names = set()
    for shard in plan.shards:
        target = url.join(shard.name)
        names.add(target.name)
        file = ShardFile(plan.folder, shard.members, shard.size_bytes)
        store.put(target, cast(BinaryIO, file))
        yield PackedShard(str(target), shard.samples, shard.size_bytes, file.checksum())
    for name in old:
        if name not in names:
            store.delete(url.with_name(name), missing_ok=True)


def _check_outside(folder: Path, url: ObjectUrl) -> None:
    if url.provider == FILE and Path("/", url.name).resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"pack {folder}: {url} is in the folder itself, so that the next run would pack shards;"
            " write to another folder"
        )


def _existing_shards(store: Store, url: ObjectUrl, prefix: str) -> list[str]:
    start = url.join(f"{prefix}-")
    shard = re.compile(re.escape(start.name) + r"[0-9]{6,}\.tar")
    try:
        return [info.name for info in store.list(start) if shard.fullmatch(info.name)]
    except NotFoundError:
        if url.provider == FILE:
            return []
        raise
