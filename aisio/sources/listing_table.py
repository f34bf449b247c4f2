"""ListingTable: a listing as compact columns, for millions of objects.

The rows are in blocks of some thousands. A block is one buffer: a head, then an array for each
column that has a value in the block. So there is no Python object for a row, a forked process reads
its parent's pages without copying them, and a block can be sent to another process, or mapped from
a file, as it is. A row becomes an `ObjectInfo` when it is read.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from mmap import ACCESS_READ, mmap
from multiprocessing.context import get_spawning_popen
from os.path import commonprefix
from typing import Any, TypeAlias, TypeVar

import msgspec

from aisio.anonymous_file import AnonymousFile
from aisio.records import Checksum, ObjectInfo
from aisio.sources.base import Source

__all__ = ["ListingTable", "encode_blocks"]

V = TypeVar("V", str, int)
Buffer: TypeAlias = "bytes | mmap"
Columns: TypeAlias = "dict[str, bytes]"

_FIRST_ROWS, _MAX_ROWS = 64, 8192
"""Rows of the first block, and of the largest: each has at most as many as all before it, so a
reader of a listing that is being made waits for no more objects than there are already."""

_MAX_TEXT = 1 << 19
"""Characters of names, versions, entity tags and labels in a block, about: a block then stays small
enough to be one message."""

_MIN_SHARED_BYTES = 1 << 20

# Names of local files may hold bytes that are not UTF-8, which Python has as lone surrogates.
_CODEC = ("utf-8", "surrogatepass")
_NO_SIZE = -1
_HEAD_BYTES = 4


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What a block begins with, behind its own length.

    Attributes:
        count: Number of rows.
        prefix: What all names begin with, encoded.
        roots: Roots of the objects.
        sources: Numbers of the sources.
        checksum_kind: Kind of the checksums, where all rows have one, of one kind and length.
        columns: Name and number of bytes of each column, in the order of their bytes.
    """

    count: int
    prefix: bytes
    roots: list[str]
    sources: list[int]
    checksum_kind: str
    columns: list[tuple[str, int]]


def encode_blocks(rows: Iterable[tuple[int, ObjectInfo]]) -> Iterator[bytes]:
    """Yield the blocks of a listing, while it is made.

    Args:
        rows: Each object, with the number of its source.
    """
    pending: list[tuple[int, ObjectInfo]] = []
    total, text = 0, 0
    try:
        for number, info in rows:
            pending.append((number, info))
            text += len(info.name) + len(info.version) + len(info.etag) + len(info.label)
            if len(pending) >= min(max(_FIRST_ROWS, total), _MAX_ROWS) or text > _MAX_TEXT:
                yield _encode(pending)
                total += len(pending)
                pending, text = [], 0
    except Exception:
        # What was listed before the error is read before it is raised.
        if pending:
            yield _encode(pending)
        raise
    if pending:
        yield _encode(pending)


def _encode(rows: Sequence[tuple[int, ObjectInfo]]) -> bytes:
    infos = [info for _, info in rows]
    columns: Columns = {}
    # Of characters: it is cut off and put back as text.
    prefix = commonprefix([info.name for info in infos])  # noqa: RUF071
    _add_texts(columns, "names", [info.name[len(prefix) :] for info in infos])
    roots = _add_numbers(columns, "roots", [info.root for info in infos])
    sources = _add_numbers(columns, "sources", [number for number, _ in rows])
    if any(info.size_bytes is not None for info in infos):
        sizes = (_NO_SIZE if info.size_bytes is None else info.size_bytes for info in infos)
        columns["sizes"] = array("q", sizes).tobytes()
    kind = _add_checksums(columns, [info.checksum for info in infos])
    for name, texts in (
        ("versions", [info.version for info in infos]),
        ("etags", [info.etag for info in infos]),
        ("customs", [_json(info.custom) for info in infos]),
        ("labels", [info.label for info in infos]),
    ):
        if any(texts):
            _add_texts(columns, name, texts)
    if any(info.mtime_s for info in infos):
        columns["mtimes"] = array("d", (info.mtime_s for info in infos)).tobytes()
    lengths = [(name, len(data)) for name, data in columns.items()]
    head = msgspec.msgpack.encode(
        _Head(len(rows), prefix.encode(*_CODEC), roots, sources, kind, lengths)
    )
    return b"".join([len(head).to_bytes(_HEAD_BYTES, sys.byteorder), head, *columns.values()])


def _json(custom: dict[str, str]) -> str:
    return msgspec.json.encode(custom).decode() if custom else ""


def _add_texts(columns: Columns, name: str, texts: Sequence[str]) -> None:
    """Add a column of texts, and one of where each begins and the last ends."""
    joined = "".join(texts)
    data = joined.encode(*_CODEC)
    is_ascii = len(data) == len(joined)
    lengths = map(len, texts) if is_ascii else (len(text.encode(*_CODEC)) for text in texts)
    columns[name] = data
    columns[f"{name} at"] = array("I", accumulate(lengths, initial=0)).tobytes()


def _add_numbers(columns: Columns, name: str, values: Iterable[V]) -> list[V]:
    """Return the different values; if there are several, add a column of their numbers."""
    numbers: dict[V, int] = {}
    column = array("H", (numbers.setdefault(value, len(numbers)) for value in values))
    if len(numbers) > 1:
        columns[name] = column.tobytes()
    return list(numbers)


def _add_checksums(columns: Columns, checksums: Sequence[Checksum | None]) -> str:
    """Add a column of bytes, and return the kind; or of texts, if there is not one kind."""
    present = [checksum for checksum in checksums if checksum]
    if not present:
        return ""
    kind, width = present[0].kind, len(present[0].value)
    if len(present) == len(checksums) and width and width % 2 == 0:
        data = b""
        if all(one.kind == kind and len(one.value) == width for one in present):
            data = _from_hex("".join([one.value for one in present]))
        if data:
            columns["checksums"] = data
            return kind
    texts = [f"{one.kind}:{one.value}" if one else "" for one in checksums]
    _add_texts(columns, "checksum texts", texts)
    return ""


def _from_hex(text: str) -> bytes:
    """Return the bytes of lowercase hexadecimal digits; b"" if the text has others."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return b""
    return data if data.hex() == text else b""


class _Block:
    """The rows of a block.

    Args:
        data: What `encode_blocks` yielded, or a file that has it.
        start: Where in it the block begins.
    """

    __slots__ = (
        "_checksums_at",
        "_data",
        "_end",
        "_head",
        "_more",
        "_names_at",
        "_prefix",
        "_sizes",
        "_start",
        "_starts",
        "_width",
    )

    def __init__(self, data: Buffer, start: int) -> None:
        view = memoryview(data)
        head_at = start + _HEAD_BYTES
        at = head_at + int.from_bytes(view[start:head_at], sys.byteorder)
        head = self._head = msgspec.msgpack.decode(view[head_at:at], type=_Head)
        columns, offsets = {}, {}
        for name, length in head.columns:
            columns[name], offsets[name] = view[at : at + length], at
            at += length
        # Slices of `data` are bytes, and cheaper than those of a view.
        self._data, self._start, self._end = data, start, at
        self._prefix = head.prefix.decode(*_CODEC)
        self._names_at = offsets["names"]
        self._starts = columns["names at"].cast("I")
        self._sizes = columns["sizes"].cast("q") if "sizes" in columns else None
        self._checksums_at = offsets.get("checksums", 0)
        self._width = len(columns["checksums"]) // head.count if self._checksums_at else 0
        usual = ("names", "names at", "sizes", "checksums")
        self._more = {name: view for name, view in columns.items() if name not in usual}

    def __len__(self) -> int:
        return self._head.count

    def sizes(self) -> bytes | memoryview:
        """Return the column of sizes, as bytes of an array of type "q"; -1 for none."""
        if self._sizes is None:
            return array("q", [_NO_SIZE]).tobytes() * len(self)
        return self._sizes.cast("B")

    def to_bytes(self) -> bytes:
        """Return the block as it was encoded."""
        return self._data[self._start : self._end]

    def row(self, index: int) -> tuple[int, ObjectInfo]:
        """Return a row of the block: the number of its source, and the object."""
        starts, data, at = self._starts, self._data, self._names_at
        name = self._prefix + data[at + starts[index] : at + starts[index + 1]].decode(*_CODEC)
        size: int | None = None
        if self._sizes is not None:
            size = self._sizes[index]
            if size == _NO_SIZE:
                size = None
        checksum = None
        if width := self._width:
            at = self._checksums_at + index * width
            checksum = Checksum(self._head.checksum_kind, data[at : at + width].hex())
        if self._more:
            return self._full_row(index, name, size, checksum)
        return self._head.sources[0], ObjectInfo(self._head.roots[0], name, size, checksum)

    def _full_row(
        self, index: int, name: str, size: int | None, checksum: Checksum | None
    ) -> tuple[int, ObjectInfo]:
        """Return a row of a block that has rare columns."""
        head = self._head
        if text := self._text("checksum texts", index):
            kind, _, value = text.partition(":")
            checksum = Checksum(kind, value)
        custom = self._text("customs", index)
        return head.sources[self._number("sources", "H", index)], ObjectInfo(
            head.roots[self._number("roots", "H", index)],
            name,
            size,
            checksum,
            self._text("versions", index),
            self._text("etags", index),
            float(self._number("mtimes", "d", index)),
            msgspec.json.decode(custom, type=dict[str, str]) if custom else {},
            self._text("labels", index),
        )

    def _number(self, name: str, kind: Any, index: int) -> Any:
        column = self._more.get(name)
        return 0 if column is None else column.cast(kind)[index]

    def _text(self, name: str, index: int) -> str:
        column = self._more.get(name)
        if column is None:
            return ""
        starts = self._more[f"{name} at"].cast("I")
        return str(column[starts[index] : starts[index + 1]], *_CODEC)


class ListingTable:
    """The objects of a listing, each with its source; a table can grow at its end.

    It pickles as its bytes and the sources; to a process that multiprocessing starts, a large one
    goes as a file, so that both have the same pages.

    Args:
        sources: The sources, by number.
        blocks: The first blocks, of `encode_blocks`.
    """

    def __init__(self, sources: Sequence[Source], blocks: Iterable[Buffer] = ()) -> None:
        self._sources = tuple(sources)
        self._blocks: list[_Block] = []
        self._starts = array("q")
        self._count = 0
        # Set where a process was started that shares the table: the file, and where blocks begin.
        self._file: tuple[AnonymousFile, list[int]] | None = None
        for block in blocks:
            self.append(block)

    def __reduce__(self) -> tuple[Any, ...]:
        blocks = list(self.blocks)
        if get_spawning_popen() is None or sum(map(len, blocks)) < _MIN_SHARED_BYTES:
            return type(self), (self._sources, blocks)
        starts = list(accumulate(map(len, blocks[:-1]), initial=0))
        if self._file is None or self._file[1] != starts:
            file = AnonymousFile()
            for block, start in zip(blocks, starts, strict=True):
                file.write(block, start)
            self._file = file, starts
            self._blocks = list(ListingTable._of_file(self._sources, *self._file)._blocks)
        return ListingTable._of_file, (self._sources, *self._file)

    @staticmethod
    def _of_file(
        sources: Sequence[Source], file: AnonymousFile, starts: Sequence[int]
    ) -> ListingTable:
        table = ListingTable(sources)
        mapped = mmap(file.descriptor, 0, access=ACCESS_READ)
        for start in starts:
            table.append(mapped, start)
        return table

    def append(self, data: Buffer, start: int = 0) -> None:
        """Add a block at the end.

        Args:
            data: The block, or a file that has it.
            start: Where in it the block begins.
        """
        block = _Block(data, start)
        self._blocks.append(block)
        self._starts.append(self._count)
        # Last: another thread that sees the new length finds the rows.
        self._count += len(block)

    @property
    def blocks(self) -> Iterator[bytes]:
        """The blocks, in order."""
        return (block.to_bytes() for block in self._blocks)

    def sizes(self) -> array[int]:
        """Return the size of each object in bytes; -1 where the listing has none."""
        sizes = array("q")
        for block in self._blocks:
            sizes.frombytes(block.sizes())
        return sizes

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Source, ObjectInfo]:
        """Return an object with its source.

        Raises:
            IndexError: There is no such row.
        """
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError(f"row {index} of a listing of {self._count:,} objects")
        number = bisect_right(self._starts, index) - 1
        source, info = self._blocks[number].row(index - self._starts[number])
        return self._sources[source], info

    def __iter__(self) -> Iterator[tuple[Source, ObjectInfo]]:
        sources = self._sources
        rows = chain.from_iterable(map(block.row, range(len(block))) for block in self._blocks)
        return ((sources[number], info) for number, info in rows)
