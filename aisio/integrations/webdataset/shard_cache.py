"""webdataset's cache of shards, `cache_dir=`, where aisio fills it.

webdataset names a file of it by the last part of the URL, so that "train/0.tar" and "val/0.tar" are
one shard, as are an object and the one that replaces it; and it reads files with Python's tarfile,
see `tar_files`. Files of aisio's shards are named and read otherwise.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aisio.integrations.webdataset.opener import ObjectStream, find_object
from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles
from aisio.stores import LocalStore
from aisio.transport.body import Body
from aisio.urls import ObjectUrl

__all__ = ["cache_name", "read_by_aisio"]

_MAX_NAME = 100
"""Of a shard, in the name of its file; file systems have names of up to 255 bytes."""

Opener = Callable[[Any, Iterable[Any]], Iterator[dict[str, Any]]]


def cache_name(url: str) -> str:
    """Return the name of a shard's file: another one for another URL, or another content.

    Raises:
        NotFoundError: There is no such object.
    """
    where, listed = find_object(url)
    info = where.completed(listed)
    content = (url, info.size_bytes, info.checksum, info.version, info.etag)
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:32]
    return f"{digest}-{quote(url.rpartition('/')[2], safe='')[-_MAX_NAME:]}"


def read_by_aisio(theirs: Opener, is_aisios: Callable[[str], bool]) -> Opener:
    """Return webdataset's opener of cached shards, with streams that aisio's parser reads.

    Args:
        theirs: `FileCache.__call__`.
        is_aisios: Tells whether aisio fills the cache for a URL.
    """

    @wraps(theirs)
    def open_cached(cache: Any, urls: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for opened in theirs(cache, urls):
            if is_aisios(opened["url"]):
                file, path = opened["stream"].detach(), opened["local_path"]
                opened["stream"] = _stream(file, path, opened["url"])
            yield opened

    return open_cached


def _stream(file: Any, path: str, url: str) -> ObjectStream:
    size = os.fstat(file.fileno()).st_size
    root, _, name = url.rpartition("/")
    # What hard links stand for is read by the path. The name of a file says what is in it.
    place = ObjectUrl.parse(f"file://{Path(path).absolute()}")
    links = LinkedFiles(LocalStore(), place, lambda now: now.size_bytes == size)
    return ObjectStream(Body(file, ObjectInfo(root, name, size), size), url, links)
