"""DataObject: an object as a transform gets it: what is known of it, and its bytes as a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, overload

from aisio.records import ObjectInfo
from aisio.sources.base import Source, url_of
from aisio.sources.listing_table import ListingTable
from aisio.summary import Summarized, shown, size_text

__all__ = ["DataObject", "DataObjects", "ObjectProps"]

READ_WHOLE_BYTES = 8 << 20
"""Objects of up to this size are read by one request, and so verified by their checksum. A larger
one is read as far as its reader reads."""


if TYPE_CHECKING:

    class _BinaryFile(io.BufferedIOBase, BinaryIO):
        """As type checkers know Python's own binary files."""

else:
    _BinaryFile = io.BufferedIOBase


class ObjectProps(NamedTuple):
    """What the official package's code looks up of an object.

    Attributes:
        size: Its size, in bytes.
    """

    size: int


class DataObject(Summarized, _BinaryFile):
    """An object: a binary file, with a name, a size and a label.

    It is read on first use, if its bytes are not there yet: up to 8 MiB whole and verified, a
    larger object as far as the reader reads. Libraries take it where they take a binary file, as
    `PIL.Image.open`, `numpy.load` and `torch.load` do. It may be kept, and it pickles.

    Args:
        source: The source that has it.
        info: What its listing says of it.
        data: Its bytes, where they are there already.
        etl_name: The ETL that transforms it in the cluster when it is read.
    """

    _file: io.BytesIO | io.BufferedReader | None = None  # also where __init__ failed

    def __init__(
        self,
        source: Source | None,
        info: ObjectInfo,
        data: bytes | None = None,
        *,
        etl_name: str | None = None,
    ) -> None:
        super().__init__()
        self._source = source
        self._info = info
        self._data = data
        self._etl_name = etl_name
        self._size_bytes: int | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.url)!r}>"

    def _summary(self) -> Mapping[str, object]:
        info = self._info
        size = self._size_bytes if info.size_bytes is None else info.size_bytes
        known = {"url": self.url, "label": info.label, "version": info.version}
        shown_size = "not known yet" if size is None else size_text(size)
        return {name: value for name, value in known.items() if value} | {"size": shown_size}

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_open()
        source = self._source if self._data is None else None
        position = self._file.tell() if self._file is not None else 0
        return _restored, (type(self), source, self._info, self._data, self._etl_name, position)

    @property
    def url(self) -> str:
        """The object's full URL."""
        return self._info.url

    @property
    def bucket(self) -> str:
        """The bucket; "" for a local file, host[:port] for a web server."""
        # Without the name: that of a file in a tar may be one that no URL can hold.
        return url_of(ObjectInfo(self._info.root, "")).bucket

    @property
    def name(self) -> str:
        """The object's name within its bucket."""
        return self._info.name

    @property
    def key(self) -> str:
        """The same as `name`, in the word of S3."""
        return self._info.name

    @property
    def label(self) -> str:
        """What the manifest says the object is; "" where it says nothing, or there is none."""
        return self._info.label

    @property
    def version(self) -> str:
        """The version that was listed; "" if the listing has none."""
        return self._info.version

    @property
    def etag(self) -> str:
        """The entity tag that was listed, without quotes; "" if the listing has none."""
        return self._info.etag

    @property
    def size_bytes(self) -> int:
        """Number of bytes that reading it gives.

        If the listing has no sizes, as a list of URLs has none, it is looked up: by a HEAD request,
        or by reading the object if an ETL transforms it.

        Raises:
            NotFoundError: There is no such object any more.
        """
        if self._data is not None:
            return len(self._data)
        if self._size_bytes is None:
            self._size_bytes = self._find_size()
        return self._size_bytes

    @property
    def size(self) -> int:
        """The same as `size_bytes`, in the word of S3."""
        return self.size_bytes

    @property
    def props_cached(self) -> ObjectProps:
        """For code that was written for the official package: `props_cached.size`."""
        return ObjectProps(self.size_bytes)

    def _find_size(self) -> int:
        source = self._source
        if source is not None and not source.effective_etl(self._etl_name):
            size = source.completed(self._info).size_bytes
            if size is not None:
                return size
        return len(self._read_whole())

    def open(self) -> DataObject:
        """Open the object, if it is not open yet, and return it; reading does so by itself.

        Raises:
            NotFoundError: There is no such object any more.
            StorageError: As for `Source.read`.
        """
        self._opened()
        return self

    def _opened(self) -> io.BytesIO | io.BufferedReader:
        self._check_open()
        if self._file is None:
            self._file = self._open_file()
        return self._file

    def _open_file(self) -> io.BytesIO | io.BufferedReader:
        source = self._source
        if self._data is None and source is not None:
            is_plain = not (source.effective_etl(self._etl_name) or source.needs_single_reads)
            if is_plain and (self._info.size_bytes or 0) > READ_WHOLE_BYTES:
                return source.store_of(self._info).open(url_of(self._info))
        return io.BytesIO(self._read_whole())  # shares the bytes, and does not copy them

    def _read_whole(self) -> bytes:
        if self._data is None:
            assert self._source is not None, "without a source there are bytes"
            self._data = self._source.read(self._info, etl_name=self._etl_name)
        return self._data

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.url}: the object is closed")

    def readable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes from the position on; all that are left by default.

        Raises:
            NotFoundError: There is no such object any more.
            IntegrityError: The bytes are not those that the store promised.
        """
        return self._opened().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, by at most one request; errors as for `read`."""
        return self._opened().read1(size)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer and return the number of bytes, fewer at the end; errors as for `read`."""
        return self._opened().readinto(buffer)

    def readinto1(self, buffer: Any, /) -> int:
        """Fill a part of a buffer, by at most one request; errors as for `read`."""
        return self._opened().readinto1(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the bytes up to and with the next line feed; errors as for `read`."""
        return self._opened().readline(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position and return it."""
        return self._opened().seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return 0 if self._file is None else self._file.tell()

    def close(self) -> None:
        """Let go of the bytes, and of the connection of a large object."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self.closed and self._data is not None:
            self._size_bytes, self._data = len(self._data), None
        super().close()


class DataObjects(Sequence[DataObject]):
    """The objects of a listing, each made when it is looked at.

    Args:
        listing: The listing.
        etl_name: The ETL that transforms them when they are read.
        kind: Their class.
    """

    def __init__(
        self,
        listing: ListingTable,
        etl_name: str | None = None,
        kind: type[DataObject] = DataObject,
    ) -> None:
        self._listing = listing
        self._etl_name = etl_name
        self._kind = kind

    def __len__(self) -> int:
        return len(self._listing)

    @overload
    def __getitem__(self, index: int) -> DataObject: ...

    @overload
    def __getitem__(self, index: slice) -> list[DataObject]: ...

    def __getitem__(self, index: int | slice) -> DataObject | list[DataObject]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        source, info = self._listing[index]
        return self._kind(source, info, etl_name=self._etl_name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self):,} objects>"


def _restored(
    kind: Callable[..., DataObject],
    source: Source | None,
    info: ObjectInfo,
    data: bytes | None,
    etl_name: str | None,
    position: int,
) -> DataObject:
    one = kind(source, info, data, etl_name=etl_name)
    if position:
        one.seek(position)
    return one
