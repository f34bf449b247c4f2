"""The files that Lhotse opens by URL: objects, read and written as text or bytes, also gzipped."""

from __future__ import annotations

import gzip
import io
import re
from functools import partial
from types import TracebackType
from typing import IO, Any, cast

from aisio.client.client import Client
from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.records import ByteRange
from aisio.stores import AisStore, Store, store_for
from aisio.transport.body import Body
from aisio.transport.parallel import read_bytes
from aisio.transport.retries import Attempts
from aisio.transport.seekable import open_seekable
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl

__all__ = ["open_object", "open_whole", "read_archived", "split_archived"]

_MODES = frozenset({"r", "rt", "rb", "w", "wt", "wb"})
_ARCHIVED = re.compile(r"(.+?\.(?:tar|tar\.gz|tgz))/(.+)")
"""As Lhotse and NeMo name a file in an archive: the archive's URL, a slash, the file's path."""


def split_archived(url: ObjectUrl) -> tuple[ObjectUrl, str]:
    """Return the archive that a URL names a file of, and the path of the file; "" for an object."""
    match = _ARCHIVED.fullmatch(url.name)
    return (url.with_name(match[1]), match[2]) if match else (url, "")


def read_archived(store: Store, archive: ObjectUrl, path: str) -> bytes:
    """Return a file of an archive, which the cluster takes out of it.

    Raises:
        NotFoundError: There is no such archive, or no such file in it.
        ConfigError: The archive is in no cluster.
    """
    if not isinstance(store, AisStore):
        raise ConfigError(
            f"{archive}/{path}: only a cluster reads a file out of an archive: set AIS_ENDPOINT"
        )
    return store.client.object(archive).get_member(path)


def open_object(url: str, mode: str = "r", *, client: Client | None = None) -> IO[Any]:
    """Open an object by URL, as `lhotse.serialization.open_best` does.

    A name that ends in ".gz" is read and written uncompressed. An object that is written appears
    when the file is closed, whole and verified; if the block of a `with` statement raises, nothing
    is stored.

    Args:
        url: The object, or a file in an archive of the cluster, which is only read.
        mode: "r" and "w" for text in UTF-8, "rb" and "wb" for bytes.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Raises:
        NotFoundError: There is no such object.
        ConfigError: Another mode, or a file in an archive is to be written.
    """
    if mode not in _MODES:
        expected = ", ".join(sorted(_MODES))
        raise ConfigError(f"{one_line(url)}: mode={mode!r}: expected one of {expected}")
    where, member = split_archived(ObjectUrl.parse(url).require_object())
    store = store_for(where, client)
    if mode[0] == "w":
        if member:
            raise ConfigError(f"{one_line(url)}: a file in an archive cannot be written")
        return _writer(store, where, is_text="b" not in mode)
    data = io.BytesIO(read_archived(store, where, member)) if member else open_whole(store, where)
    file = gzip.GzipFile(fileobj=data) if url.endswith(".gz") else data
    return cast(IO[Any], file) if "b" in mode else io.TextIOWrapper(file, "utf-8")


def open_whole(store: Store, url: ObjectUrl) -> io.BufferedReader:
    """Open an object as a seekable file; who reads it from start to end sends one GET alone."""
    first = [store.get(url)]
    info = first[0].info
    if info.size_bytes is None:
        first.pop().close()
        return store.open(url)

    def open_range(byte_range: ByteRange | None) -> Body:
        if first:
            body = first.pop()
            if byte_range is None:
                return body
            body.close()
        return store.get(url, byte_range)

    is_same = partial(store.is_same, url)
    if isinstance(store, AisStore):  # its bodies resume by themselves
        return open_seekable(info, open_range, read_bytes, is_same=is_same)
    return open_seekable(info, open_range, attempts=Attempts(store.retry_policy), is_same=is_same)


def _writer(store: Store, url: ObjectUrl, *, is_text: bool) -> IO[Any]:
    writer = store.writer(url, WriteOptions(allow_empty=True))
    binary = _GzipWriter(writer) if url.name.endswith(".gz") else writer
    return _TextWriter(binary, writer) if is_text else cast(IO[Any], binary)


class _DroppedOnError(io.IOBase):
    """A file whose object is stored by `close` alone, and not if a `with` block raises.

    Attributes:
        writer: Stores the object.
    """

    writer: ObjectWriter

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store the object; if the block raised, drop it."""
        if kind is not None:
            self.writer.abort()
        else:
            self.close()

    def __del__(self) -> None:
        """Leave it to the writer: `io.IOBase` would store a part of the object."""


class _GzipWriter(_DroppedOnError, gzip.GzipFile):
    """Compresses into an object, and closes that with itself."""

    def __init__(self, writer: ObjectWriter) -> None:
        self.writer = writer
        super().__init__(filename="", mode="wb", fileobj=writer)

    def close(self) -> None:
        """Store the object."""
        if not self.closed:
            super().close()
            self.writer.close()


class _TextWriter(_DroppedOnError, io.TextIOWrapper):
    """Text that is written into an object."""

    def __init__(self, binary: Any, writer: ObjectWriter) -> None:
        self.writer = writer
        super().__init__(binary, "utf-8", newline="\n")
