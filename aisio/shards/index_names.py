"""The names in a shard index: the key of a sample, and the sample of a key.

The lookup is a hash table with open addressing and linear probing, at most two thirds full. A slot
holds a sample's number plus 1, or 0 if it is free. The slot of a key is the low bits of XXH3-64 of
its UTF-8; the third sample of a key, and those after it, have none. Names are compared in the text
of the index, so the lookup makes no object a sample.
"""

from __future__ import annotations

import difflib
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from xxhash import xxh3_64_intdigest

from aisio.errors import IntegrityError, ShardError
from aisio.escapes import one_line
from aisio.formats.index_file import IndexFile

__all__ = ["NameLookup", "name_table"]

_MAX_SAME = 2
"""How often a key is in the table: two are an error that names both. Where the keys of each shard
begin with 0, the samples of a key would otherwise be a row of slots as long as there are shards."""

_MAX_SIMILAR = 3
_MAX_CANDIDATES = 30


def name_table(
    text: memoryview, ends: memoryview[int], bases: Sequence[int], counts: Sequence[int]
) -> array[int]:
    """Return the hash table of some names.

    Args:
        text: All names.
        ends: Where each name ends, counted from the base of its shard.
        bases: For each shard, where its names begin in the text.
        counts: For each shard, how many names it has.
    """
    slots = 1 << (len(ends) * 3 // 2).bit_length()
    table = array("I" if len(ends) < (1 << 32) - 1 else "Q", bytes(0))
    table.frombytes(bytes(slots * table.itemsize))
    hashes = array("Q", bytes(8 * slots))  # of the names in the slots
    mask, number = slots - 1, 0
    for base, count in zip(bases, counts, strict=True):
        start = base
        for end in ends[number : number + count]:
            stop = base + end
            name_hash = xxh3_64_intdigest(text[start:stop])
            slot, same = name_hash & mask, 0
            while table[slot] and same < _MAX_SAME:
                same += hashes[slot] == name_hash
                slot = (slot + 1) & mask
            number += 1
            if same < _MAX_SAME:
                table[slot], hashes[slot] = number, name_hash
            start = stop
    return table


class NameLookup:
    """Keys of samples by number, and numbers by key.

    Args:
        file: The index file.
        firsts: The first sample of each shard, and the number of all samples.
        urls: The shards' URLs, for errors.
    """

    def __init__(self, file: IndexFile, firsts: memoryview[int], urls: Sequence[str]) -> None:
        self._file = file
        self._firsts = firsts
        self._urls = urls
        self._text = file.raw("name.text")
        self._ends = file.numbers("name.end")
        self._bases = file.numbers("name.base")
        if len(self._ends) != firsts[-1] or len(self._bases) != len(firsts) - 1:
            raise IntegrityError(
                f"{one_line(file.name)}: this shard index is damaged: its columns differ in length"
            )

    def key(self, sample: int, shard: int) -> str:
        """Return the key of a sample, whose shard the caller knows."""
        return str(self._raw_key(sample, shard), "utf-8", "surrogatepass")

    def find(self, key: str) -> int:
        """Return the number of the sample with a key; errors as for `ShardIndex.find`."""
        wanted = key.encode("utf-8", "surrogatepass")
        found = [sample for sample in self._candidates(wanted) if self._raw_key(sample) == wanted]
        if not found:
            similar = " or ".join(map(repr, self._similar(key)))
            raise KeyError(f"no sample has the key {key!r}{similar and '; similar: '}{similar}")
        if len(found) > 1:
            places = " and ".join(
                f"sample {sample} of {one_line(self._urls[self._shard_of(sample)])}"
                for sample in sorted(found)[:2]
            )
            raise ShardError(f"the key {key!r} stands for more than one sample: {places}")
        return found[0]

    def _candidates(self, key: bytes) -> Iterator[int]:
        table = self._file.numbers("name.table")
        mask = len(table) - 1
        slot = xxh3_64_intdigest(key) & mask
        while number := table[slot]:
            yield number - 1
            slot = (slot + 1) & mask

    def _shard_of(self, sample: int) -> int:
        return bisect_right(self._firsts, sample) - 1

    def _raw_key(self, sample: int, shard: int | None = None) -> memoryview:
        if shard is None:
            shard = self._shard_of(sample)
        base = self._bases[shard]
        start = self._ends[sample - 1] if sample > self._firsts[shard] else 0
        return self._text[base + start : base + self._ends[sample]]

    def _similar(self, key: str) -> list[str]:
        """Return keys that look like one that does not exist.

        Only keys that contain it, its last part or its first half are compared: the text is
        searched for these, as comparing all keys would take minutes.
        """
        parts = (key, key.rpartition("/")[2], key[: -(-len(key) // 2)])
        candidates: dict[str, None] = {}
        for part in filter(None, parts):
            pattern = re.compile(re.escape(part.encode("utf-8", "surrogatepass")))
            for match in pattern.finditer(self._text):
                sample = self._sample_at(match.start())
                candidates[self.key(sample, self._shard_of(sample))] = None
                if len(candidates) >= _MAX_CANDIDATES:
                    break
        return difflib.get_close_matches(key, candidates, n=_MAX_SIMILAR, cutoff=0.5)

    def _sample_at(self, position: int) -> int:
        """Return the sample whose name has this byte of the text."""
        shard = bisect_right(self._bases, position) - 1
        while self._firsts[shard] == self._firsts[shard + 1]:  # a shard without samples
            shard -= 1
        low, high = self._firsts[shard], self._firsts[shard + 1]
        return bisect_right(self._ends, position - self._bases[shard], low, high - 1)
