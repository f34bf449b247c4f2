"""Pins: what an index remembers of a shard, to tell later whether the shard is still the same.

A pin is one text: "xxhash2:0123..." (kind and value of the store's checksum), "etag:...",
"version:...", or "" where the store tells none of them. That of a local file is "mtime:...": it is
the same on each machine that mounts the file system, and in a copy with the times of the files, as
those of rsync and `cp -a`.

A listing that does not tell what the pin names is compared by size alone. A replaced shard of the
same size is found then when it is read, as its samples have other hashes.
"""

from __future__ import annotations

from msgspec.structs import replace

from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import IndexedShard
from aisio.stores import Store
from aisio.urls import FILE, ObjectUrl

__all__ = ["is_current", "is_indexed", "pin_of", "pinned_checksum"]

_OTHER_PINS = ("etag", "version", "mtime")
_LOCAL = ObjectUrl(FILE, "").root


def pin_of(info: ObjectInfo) -> str:
    """Return the pin of an object: the first of checksum, entity tag and version that it has."""
    if info.root == _LOCAL:
        return f"mtime:{info.mtime_s}"
    if info.checksum is not None:
        return f"{info.checksum.kind}:{info.checksum.value}"
    if info.etag:
        return f"etag:{info.etag}"
    return f"version:{info.version}" if info.version else ""


def is_current(shard: IndexedShard, info: ObjectInfo) -> bool:
    """Tell whether an indexed shard is the object of a listing, by all that both of them tell."""
    if info.size_bytes is not None and info.size_bytes != shard.size_bytes:
        return False
    kind, _, value = shard.pin.partition(":")
    if not kind:
        return True
    if kind == "mtime":
        return info.root != _LOCAL or not info.mtime_s or str(info.mtime_s) == value
    if kind == "etag":
        return not info.etag or info.etag == value
    if kind == "version":
        return not info.version or info.version == value
    # A checksum of another kind is one of other bytes: a store does not compute an object's anew.
    return info.checksum in (None, Checksum(kind, value))


def is_indexed(shard: IndexedShard, store: Store, url: ObjectUrl, info: ObjectInfo) -> bool:
    """Tell whether a response is about the version that was indexed, as a listing is compared."""
    if is_current(shard, info):
        return True
    checksum = pinned_checksum(shard)
    if checksum is None or info.checksum is None:
        return False
    # A bucket can send a checksum of the range instead, which the store knows.
    indexed = replace(info, size_bytes=shard.size_bytes, checksum=checksum)
    return store.is_same(url, indexed, info)


def pinned_checksum(shard: IndexedShard) -> Checksum | None:
    """Return the checksum of the shard; None if it is pinned by something else."""
    kind, _, value = shard.pin.partition(":")
    return None if kind in ("", *_OTHER_PINS) else Checksum(kind, value)
