"""The columns of a shard index: made for one shard, and joined for many."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, overload

from aisio.errors import ConfigError, IntegrityError
from aisio.escapes import one_line
from aisio.formats.index_file import IndexFile, PartBytes
from aisio.shards.index_names import name_table

__all__ = [
    "BASE",
    "IS_HASHED",
    "IS_RANGED",
    "IndexedShard",
    "Run",
    "ShardRows",
    "StringColumn",
    "joined_parts",
    "shard_parts",
    "shard_urls",
]

IS_RANGED: Final = 1
IS_HASHED: Final = 2
BASE: Final = "shard.base"

_UINT32_LIMIT = 1 << 32
_CODEC = ("utf-8", "surrogatepass")
assert array("I").itemsize == 4


class StringColumn(Sequence[str]):
    """Strings as one text of UTF-8 and the byte where each of them ends (u64).

    Lone surrogates, which stand for bytes of a name that are not UTF-8, are encoded as well.

    Args:
        file: The index file.
        part: Name of the part with the text; that of the ends has ".end" behind it.
        start: What each string begins with, before its text.
    """

    def __init__(self, file: IndexFile, part: str, start: str = "") -> None:
        self._start = start
        self._text = file.raw(part)
        self._ends = file.numbers(f"{part}.end")
        if len(self._text) != (self._ends[-1] if len(self._ends) else 0):
            raise IntegrityError(
                f"{one_line(file.name)}: this shard index is damaged: {part!r} differs in length"
            )

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int) -> str: ...

    @overload
    def __getitem__(self, number: slice) -> list[str]: ...

    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        start = self._ends[number - 1] if number else 0
        return self._start + str(self._text[start : self._ends[number]], *_CODEC)


def shard_urls(file: IndexFile, folder: str | None = None) -> StringColumn:
    """Return the URLs of the shards.

    Args:
        file: The index file.
        folder: The folder that they are in, if it is not the one in which they were indexed.
    """
    if BASE not in file:
        return StringColumn(file, "shard.url")
    base = str(file.raw(BASE), *_CODEC) if folder is None else folder
    return StringColumn(file, "shard.url", base)


class IndexedShard(NamedTuple):
    """A shard of an index.

    Attributes:
        url: Its URL.
        size_bytes: Its size.
        pin: What tells its version: "xxhash2:0123...", as a checksum of the store; "etag:...";
            "version:..."; or "" if only the size is known.
        first_sample: Number of its first sample.
        samples: How many samples it has.
        is_ranged: Whether its samples can be read by ranges.
    """

    url: str
    size_bytes: int
    pin: str
    first_sample: int
    samples: int
    is_ranged: bool


class ShardRows(Sequence[IndexedShard]):
    """The shards of an index, each made from the columns when it is asked for."""

    def __init__(self, file: IndexFile, firsts: memoryview[int], urls: StringColumn) -> None:
        self._firsts = firsts
        self._sizes = file.numbers("shard.size")
        self._flags = file.raw("shard.flags")
        self._urls = urls
        self._pins = StringColumn(file, "shard.pin")
        count = len(firsts) - 1
        columns = (self._sizes, self._flags, self._urls, self._pins)
        if any(len(column) != count for column in columns):
            raise IntegrityError(
                f"{one_line(file.name)}: this shard index is damaged: its columns differ in length"
            )

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, number: int) -> IndexedShard: ...

    @overload
    def __getitem__(self, number: slice) -> list[IndexedShard]: ...

    def __getitem__(self, number: int | slice) -> IndexedShard | list[IndexedShard]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"shard {number} of an index with {len(self):,} shards")
        number %= len(self)
        first = self._firsts[number]
        return IndexedShard(
            self._urls[number],
            self._sizes[number],
            self._pins[number],
            first,
            self._firsts[number + 1] - first,
            bool(self._flags[number] & IS_RANGED),
        )


def shard_parts(
    url: str,
    size_bytes: int,
    pin: str,
    *,
    spans: tuple[array[int], array[int], array[int] | None] | None,
    samples: int,
    keys: Sequence[str] | None,
) -> dict[str, PartBytes]:
    """Return the parts of the index of one shard; arguments as for `aisio.shards.index.one_shard`.

    Raises:
        ConfigError: The names of its samples are over 4 GiB.
    """
    flags = 0
    offsets, sizes, hashes = array("Q", bytes(8 * samples)), array("I", bytes(4 * samples)), None
    sample_bytes = size_bytes
    if spans is not None:
        offsets, sizes, hashes = spans
        flags = IS_RANGED | (IS_HASHED if hashes is not None else 0)
        sample_bytes = sum(sizes)
    parts: dict[str, PartBytes] = {
        "shard.first": array("Q", [0, samples]),
        "shard.size": array("Q", [size_bytes]),
        "shard.sample_bytes": array("Q", [sample_bytes]),
        "shard.flags": bytes([flags]),
        **_string_parts("shard.url", [url]),
        **_string_parts("shard.pin", [pin]),
        "sample.offset": offsets,
        "sample.size": _narrowed(sizes),
    }
    if hashes is not None:
        parts["sample.hash"] = hashes
    if keys is not None:
        parts |= _name_parts(keys, url)
    return parts


def _string_parts(part: str, strings: Iterable[str]) -> dict[str, PartBytes]:
    text, ends = bytearray(), array("Q")
    for string in strings:
        text += string.encode(*_CODEC)
        ends.append(len(text))
    return {part: text, f"{part}.end": ends}


def _name_parts(keys: Sequence[str], url: str) -> dict[str, PartBytes]:
    text, ends = bytearray(), array("I")
    for key in keys:
        text += key.encode(*_CODEC)
        if len(text) >= _UINT32_LIMIT:
            raise ConfigError(f"{one_line(url)}: the names of its samples are over 4 GiB")
        ends.append(len(text))
    return _with_table(array("Q", [0]), ends, text, [len(keys)])


def _with_table(
    bases: array[int], ends: array[int], text: bytearray, counts: Sequence[int]
) -> dict[str, PartBytes]:
    return {
        "name.base": bases,
        "name.end": ends,
        "name.text": text,
        "name.table": name_table(memoryview(text), memoryview(ends), bases, counts),
    }


class Run(NamedTuple):
    """Neighbouring shards of an index.

    Attributes:
        file: The columns of the index.
        urls: The URLs of all its shards.
        start: Number of the first shard.
        stop: One past the number of the last shard.
    """

    file: IndexFile
    urls: Sequence[str]
    start: int
    stop: int

    def shards(self, part: str) -> memoryview[int]:
        """Return the rows of a column that has one for each shard."""
        return self.file.numbers(part)[self.start : self.stop]

    def samples(self, part: str) -> memoryview[int]:
        """Return the rows of a column that has one for each sample."""
        firsts = self.file.numbers("shard.first")
        return self.file.numbers(part)[firsts[self.start] : firsts[self.stop]]

    @property
    def firsts(self) -> memoryview[int]:
        """The number of the first sample of each shard, and that of the sample behind them."""
        return self.file.numbers("shard.first")[self.start : self.stop + 1]


def joined_parts(
    runs: Sequence[Run], *, names: bool, folder: str | None = None
) -> dict[str, PartBytes]:
    """Return the parts of one index of the shards of several.

    Args:
        runs: What to join, in order.
        names: Keep the names of the samples, if all have them.
        folder: See `aisio.shards.index.ShardIndex.of_shards`.

    Raises:
        ConfigError: A shard is not in the folder.
    """
    firsts = array("Q", [0])
    for run in runs:
        shift = firsts[-1] - run.firsts[0]
        firsts.extend(shift + first for first in run.firsts[1:])
    parts: dict[str, PartBytes] = {
        "shard.first": firsts,
        "shard.size": _joined((run.shards("shard.size") for run in runs), "Q"),
        "shard.sample_bytes": _joined((run.shards("shard.sample_bytes") for run in runs), "Q"),
        "shard.flags": b"".join(run.shards("shard.flags") for run in runs),
        **_joined_urls(runs, folder),
        **_joined_strings(runs, "shard.pin"),
        "sample.offset": _joined((run.samples("sample.offset") for run in runs), "Q"),
        "sample.size": _joined_sizes(runs),
    }
    if any("sample.hash" in run.file for run in runs):
        parts["sample.hash"] = _joined(map(_hashes, runs), "Q")
    if names and all("name.text" in run.file for run in runs):
        parts |= _joined_names(runs, firsts)
    return parts


def _joined(columns: Iterable[memoryview[int]], typecode: str) -> array[int]:
    joined = array(typecode)
    for column in columns:
        if column.itemsize == joined.itemsize:
            joined.frombytes(column.cast("B"))
        else:
            joined.extend(column)
    return joined


def _joined_sizes(runs: Sequence[Run]) -> array[int]:
    columns = [run.samples("sample.size") for run in runs]
    is_wide = any(column.itemsize == 8 for column in columns)
    return _joined(columns, "Q" if is_wide else "I")


def _hashes(run: Run) -> memoryview[int]:
    if "sample.hash" in run.file:
        return run.samples("sample.hash")
    return memoryview(array("Q", bytes(8 * (run.firsts[-1] - run.firsts[0]))))


def _joined_urls(runs: Sequence[Run], folder: str | None) -> Mapping[str, PartBytes]:
    urls = [url for run in runs for url in run.urls[run.start : run.stop]]
    if folder is None:
        return _string_parts("shard.url", urls)
    outside = next((url for url in urls if not url.startswith(folder)), None)
    if outside is not None:
        raise ConfigError(f"{one_line(outside)} is not in {one_line(folder)}")
    names = (url[len(folder) :] for url in urls)
    return {BASE: folder.encode(*_CODEC), **_string_parts("shard.url", names)}


def _joined_strings(runs: Iterable[Run], part: str) -> Mapping[str, PartBytes]:
    text, joined_ends = bytearray(), array("Q")
    for run in runs:
        ends = run.file.numbers(f"{part}.end")
        start = ends[run.start - 1] if run.start else 0
        stop = ends[run.stop - 1] if run.stop else 0
        shift = len(text) - start
        text += run.file.raw(part)[start:stop]
        joined_ends.extend(shift + end for end in ends[run.start : run.stop])
    return {part: text, f"{part}.end": joined_ends}


def _joined_names(runs: Sequence[Run], firsts: array[int]) -> dict[str, PartBytes]:
    text, bases = bytearray(), array("Q")
    for run in runs:
        raw, own = run.file.raw("name.text"), run.file.numbers("name.base")
        start = own[run.start] if run.start < len(own) else len(raw)
        stop = own[run.stop] if run.stop < len(own) else len(raw)
        shift = len(text) - start
        text += raw[start:stop]
        bases.extend(shift + base for base in own[run.start : run.stop])
    ends = _joined((run.samples("name.end") for run in runs), "I")
    counts = [after - first for first, after in pairwise(firsts)]
    return _with_table(bases, ends, text, counts)


def _narrowed(sizes: array[int]) -> array[int]:
    fits = not sizes or max(sizes) < _UINT32_LIMIT
    return array("I", sizes) if fits else sizes
