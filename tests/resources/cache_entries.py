"""Entries of a cache, made by hand: stored, unpacked and marked as verified."""

from __future__ import annotations

import os
from hashlib import sha256

from aisio.resources.unpack.unpack import unpack
from tests.tars import pack

TAR = pack(("d/1", b"one"), ("d/2", b"two"))


def add(cache, data, filename="x.bin", *, used=1000.0, name=""):
    """Store and mark an entry that was used at a time, and return its path."""
    path = cache.folder / (name or f"{sha256(data).hexdigest()}-{filename}")
    with cache.lock(path):
        path.write_bytes(data)
        result = unpack(path, "tar" if filename.endswith(".tar") else "none")
        cache.mark_verified(path, result, sha256=sha256(data).hexdigest())
    os.utime(marker_of(path), (used, used))
    return path


def marker_of(path):
    """Return the path of an entry's marker."""
    return path.with_name(path.name + ".aisio-verified")
