"""The columns of a shard index: made for one shard, and joined for many."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, overload

from aisio.errors import ConfigError, IntegrityError
from aisio.escapes import one_line
from aisio.formats.index_file import IndexFile, PartBytes
from aisio.shards.index_names import name_table

__all__ = ["IS_HASHED", "IS_RANGED", "StringColumn", "joined_parts", "shard_parts"]

IS_RANGED: Final = 1
IS_HASHED: Final = 2

_UINT32_LIMIT = 1 << 32
assert array("I").itemsize == 4


class StringColumn(Sequence[str]):
    """Strings as one text of UTF-8 and the byte where each of them ends (u64).

    Lone surrogates, which stand for bytes of a name that are not UTF-8, are encoded as well.

    Args:
        file: The index file.
        part: Name of the part with the text; that of the ends has ".end" behind it.
    """

    def __init__(self, file: IndexFile, part: str) -> None:
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
        return str(self._text[start : self._ends[number]], "utf-8", "surrogatepass")


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
        text += string.encode("utf-8", "surrogatepass")
        ends.append(len(text))
    return {part: text, f"{part}.end": ends}


def _name_parts(keys: Sequence[str], url: str) -> dict[str, PartBytes]:
    text, ends = bytearray(), array("I")
    for key in keys:
        text += key.encode("utf-8", "surrogatepass")
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


def joined_parts(files: Sequence[IndexFile], *, names: bool) -> dict[str, PartBytes]:
    """Return the parts of one index of the shards of several.

    Args:
        files: What to join, in order.
        names: Keep the names of the samples, if all have them.
    """
    firsts = array("Q", [0])
    for file in files:
        start = firsts[-1]
        firsts.extend(start + first for first in file.numbers("shard.first")[1:])
    parts: dict[str, PartBytes] = {
        "shard.first": firsts,
        "shard.size": _joined(files, "shard.size"),
        "shard.sample_bytes": _joined(files, "shard.sample_bytes"),
        "shard.flags": b"".join(file.raw("shard.flags") for file in files),
        **_joined_strings(files, "shard.url"),
        **_joined_strings(files, "shard.pin"),
        "sample.offset": _joined(files, "sample.offset"),
        "sample.size": _joined_sizes(files),
    }
    if any("sample.hash" in file for file in files):
        parts["sample.hash"] = _joined_hashes(files)
    if names and all("name.text" in file for file in files):
        parts |= _joined_names(files, firsts)
    return parts


def _joined(files: Iterable[IndexFile], part: str, typecode: str = "Q") -> array[int]:
    column = array(typecode)
    for file in files:
        column.frombytes(file.raw(part))
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _joined_sizes(files: Sequence[IndexFile]) -> array[int]:
    views = [file.numbers("sample.size") for file in files]
    wide = any(view.itemsize == 8 for view in views)
    column = array("Q" if wide else "I")
    for view in views:
        if view.itemsize == column.itemsize:
            column.frombytes(view.cast("B"))
        else:
            column.extend(view)
    return column


def _joined_hashes(files: Iterable[IndexFile]) -> array[int]:
    column = array("Q")
    for file in files:
        if "sample.hash" in file:
            column.frombytes(file.numbers("sample.hash").cast("B"))
        else:
            column.frombytes(bytes(8 * file.count("sample.offset")))
    return column


def _joined_strings(files: Iterable[IndexFile], part: str) -> Mapping[str, PartBytes]:
    text, ends = bytearray(), array("Q")
    for file in files:
        base = len(text)
        text += file.raw(part)
        ends.extend(base + end for end in file.numbers(f"{part}.end"))
    return {part: text, f"{part}.end": ends}


def _joined_names(files: Sequence[IndexFile], firsts: array[int]) -> dict[str, PartBytes]:
    text, bases = bytearray(), array("Q")
    for file in files:
        base = len(text)
        text += file.raw("name.text")
        bases.extend(base + own for own in file.numbers("name.base"))
    counts = [after - first for first, after in pairwise(firsts)]
    return _with_table(bases, _joined(files, "name.end", "I"), text, counts)


def _narrowed(sizes: array[int]) -> array[int]:
    fits = not sizes or max(sizes) < _UINT32_LIMIT
    return array("I", sizes) if fits else sizes
