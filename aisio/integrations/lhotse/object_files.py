"""The files that Lhotse opens by URL: objects, read and written as text or bytes, also gzipped."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from functools import partial
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
from aisio.transport.stored_whole import StoredWhole
from aisio.transport.text_file import UnseekableText
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl

__all__ = ["open_object", "open_whole", "read_archived", "split_archived"]

_MODES = frozenset({"r", "rt", "rb", "w", "wt", "wb"})
_GZIP = 31
"""For zlib: a window of 32 KiB in gzip's format."""
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
    return cast(IO[Any], _TextWriter(binary) if is_text else binary)


class _GzipWriter(StoredWhole, io.BufferedIOBase):
    """Compresses into an object, and closes that with itself.

    It is no `gzip.GzipFile`, which has a buffer: if one is dropped, Python 3.12 and later report an
    error when they collect the buffer (python/cpython#129726).
    """

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._compressor = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=_GZIP)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Compress all bytes, and return their number."""
        self._writer.write(self._compressor.compress(data))
        return memoryview(data).nbytes

    def close(self) -> None:
        """Store the object."""
        if self.closed:
            return
        try:
            self._writer.write(self._compressor.flush())
        except BaseException:
            self.abort()
            raise
        super().close()
        self._writer.close()

    def abort(self) -> None:
        """Drop what was written."""
        self._writer.abort()
        super().close()


class _TextWriter(UnseekableText):
    """Text that is written into an object."""

    def __init__(self, binary: ObjectWriter | _GzipWriter) -> None:
        super().__init__(cast(IO[bytes], binary), "utf-8", newline="\n")

    def abort(self) -> None:
        """Drop what was written."""
        cast(StoredWhole, self.buffer).abort()
