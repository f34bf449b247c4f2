"""What webdataset opens by aisio: objects to read, verified, and objects to write."""

from __future__ import annotations

import io
import tempfile
from types import TracebackType
from typing import BinaryIO, Literal, cast, overload

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.integrations.webdataset.shard_urls import catalog_shard
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.catalog_source import SCHEME
from aisio.sources.named import parse_url
from aisio.sources.resolve import source
from aisio.stores import Store, store_for
from aisio.transport.body import READ_AHEAD_BYTES, Body
from aisio.urls import ObjectUrl

__all__ = ["ObjectStream", "ObjectWriter", "find_object", "open_url"]


class ObjectStream(io.BufferedReader):
    """The bytes of an object, for whoever webdataset opens it for.

    The read that comes to the end raises IntegrityError if they are not what the store promised. If
    the connection breaks, the read goes on behind the last good byte.

    Attributes:
        url: The object's URL, as webdataset was given it.
    """

    def __init__(self, body: Body, url: str) -> None:
        super().__init__(body, READ_AHEAD_BYTES)
        self.url = url

    def __repr__(self) -> str:
        return f"<ObjectStream of {one_line(self.url)}>"


class ObjectWriter:
    """Takes the bytes of a new object; `close` stores it.

    The store needs the size first, so the bytes are in a temporary file meanwhile. An object that
    is not closed is not stored.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self._store = store
        self._url = url
        self._file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - close() closes it

    def __repr__(self) -> str:
        return f"<ObjectWriter of {one_line(str(self._url))}>"

    def write(self, data: bytes) -> int:
        """Add bytes."""
        return self._file.write(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: nobody sees the object before it is closed."""

    def close(self) -> None:
        """Store the object; further calls do nothing.

        Raises:
            StorageError: As for `Store.put`.
        """
        if self._file.closed:
            return
        with self._file as file:
            file.seek(0)
            self._store.put(self._url, file)

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()


@overload
def open_url(url: str, mode: Literal["rb"] = "rb", bufsize: int = -1) -> ObjectStream: ...
@overload
def open_url(url: str, mode: Literal["wb"], bufsize: int = -1) -> ObjectWriter: ...
def open_url(url: str, mode: str = "rb", bufsize: int = -1) -> ObjectStream | ObjectWriter:
    """Open an object as `wds.gopen` does: the handler of all schemes that aisio registers.

    Cluster, token and timeouts are those of the environment, and for a name in a catalog those of
    its entry.

    Args:
        url: The object; for a shard of a catalog's source see `shard_urls`.
        mode: "rb" or "wb".
        bufsize: What webdataset passes; of no use here.

    Raises:
        NotFoundError: There is no such object.
        ConfigError: Another mode, or the URL needs a cluster and AIS_ENDPOINT names none.
    """
    if mode == "rb":
        return ObjectStream(_open_body(url), url)
    if mode != "wb":
        raise ConfigError(f"{one_line(url)}: mode={mode!r}: 'rb' or 'wb' is needed")
    if url.startswith(SCHEME):
        raise ConfigError(f"{one_line(url)}: an object is written by its own URL, not by a name")
    target = parse_url(url).require_object()
    return ObjectWriter(store_for(target), target)


def find_object(url: str) -> tuple[Source, ObjectInfo]:
    """Return the source of a URL that webdataset opens, and its object, as listed.

    Raises:
        NotFoundError: As for `catalog_shard`.
        ConfigError: As for `open_url`.
    """
    if url.startswith(SCHEME):
        return catalog_shard(url)
    where = source([url])  # a list: what looks like a pattern is a name here
    (listed,) = where.list()
    return where, listed


def _open_body(url: str) -> Body:
    where, listed = find_object(url)
    # With the size from a HEAD, a response that belongs to another request is noticed.
    return where.get(where.completed(listed))
