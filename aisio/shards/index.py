"""ShardIndex: where each sample of some shards begins, how long it is, and the hash of its bytes.

A sample's bytes are those from its first header to the first header of the next sample. Extension
headers (long names, pax records) belong to the sample behind them, members that belong to no
sample to the sample before them. The last sample ends before the end-of-archive blocks. The hash is
XXH3-64 of exactly these bytes, taken while the whole shard was verified. So a range of a shard can
be verified, though no store has a checksum of it.

The numbers are columns of an index file (`aisio.formats.index_file`), which is mapped into memory:

    shard.first         u64, shards + 1    number of the first sample; the last is that of all
    shard.size          u64, shards        size of the shard in bytes
    shard.sample_bytes  u64, shards        size of all its samples
    shard.flags         u8,  shards        1: its samples can be read by ranges; 2: it has hashes
    shard.url, .pin     strings            as `StringColumn` has them
    shard.base          UTF-8              the folder whose name the URLs lack; missing if they
                                           lack nothing
    sample.offset       u64, samples       first byte of the sample in its shard
    sample.size         u32 or u64
    sample.hash         u64                missing if no shard has hashes
    name.base           u64, shards        where the names of a shard begin in name.text
    name.end            u32, samples       where a name ends, counted from there
    name.text           UTF-8
    name.table          u32 or u64         a hash table of sample numbers plus 1, see `names`

Parts that begin with "name." are missing in an index without names.
"""

from __future__ import annotations

import hashlib
import mmap
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

from aisio.errors import ConfigError, IntegrityError
from aisio.escapes import one_line
from aisio.formats.index_file import IndexFile, file_pieces
from aisio.shards.index_columns import (
    IS_HASHED,
    IS_RANGED,
    IndexedShard,
    Run,
    ShardRows,
    StringColumn,
    joined_parts,
    shard_parts,
    shard_urls,
)
from aisio.shards.index_names import NameLookup

__all__ = ["IndexedShard", "SampleSpan", "ShardIndex", "one_shard"]

_DIGESTED = ("shard.first", "shard.size", "shard.pin.end", "shard.pin")


class SampleSpan(NamedTuple):
    """Where a sample is.

    Attributes:
        shard: Number of its shard in the index.
        offset: Its first byte in the shard.
        size_bytes: Its size, headers and padding included; 0 if the shard cannot be read by ranges.
        xxh3: XXH3-64 of its bytes; None if the index has no hash of it.
    """

    shard: int
    offset: int
    size_bytes: int
    xxh3: int | None


class ShardIndex:
    """The samples of some shards, numbered by shard, then by offset.

    Made by `from_buffer`, `from_file`, `merge`, or `aisio.shards.index_build`. It pickles by the
    path of its file, or by its bytes if it has no file.

    Args:
        file: The columns.
        path: The file that they are mapped from; None if they are in memory.
        folder: Where the shards are now, if the index was written for shards of one folder: it may
            have been copied together with them. By default where they were.

    Raises:
        IntegrityError: The columns do not fit each other, or are damaged.
    """

    def __init__(
        self, file: IndexFile, path: Path | None = None, folder: str | None = None
    ) -> None:
        self._file = file
        self._path = path
        self._folder = folder
        self._firsts = file.numbers("shard.first")
        if not len(self._firsts):
            raise IntegrityError(f"{one_line(file.name)}: this shard index is damaged: no shards")
        self._samples: int = self._firsts[-1]
        counts = {file.count(part) for part in ("sample.offset", "sample.size")}
        if "sample.hash" in file:
            counts.add(file.count("sample.hash"))
        if counts != {self._samples}:
            raise IntegrityError(
                f"{one_line(file.name)}: this shard index is damaged: its columns differ in length"
            )

    @classmethod
    def from_buffer(
        cls,
        buffer: bytes | bytearray | memoryview,
        name: str = "shard index",
        folder: str | None = None,
    ) -> ShardIndex:
        """Return the index that some bytes hold; errors as for `IndexFile`."""
        return cls(IndexFile(buffer, name), folder=folder)

    @classmethod
    def from_file(cls, path: str | Path, *, folder: str | None = None) -> ShardIndex:
        """Map an index file into memory; only the parts that are used are read.

        Raises:
            OSError: The file cannot be read.
            IntegrityError: It is not an index, or it is damaged.
            ConfigError: A newer version of aisio has written it.
        """
        path = Path(path).absolute()
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            is_empty = not file.seek(0, 2)
            mapped = b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(IndexFile(memoryview(mapped), str(path)), path, folder)

    @classmethod
    def merge(cls, indexes: Sequence[ShardIndex], *, names: bool = True) -> ShardIndex:
        """Return one index of the shards of several, in their order.

        Args:
            indexes: What to join.
            names: Keep the names of the samples; an index without names among them drops all.
        """
        runs = [Run(index._file, index._urls, 0, len(index.shards)) for index in indexes]
        return cls._join(runs, names=names)

    @classmethod
    def of_shards(
        cls,
        shards: Iterable[tuple[ShardIndex, int]],
        *,
        names: bool = True,
        folder: str | None = None,
    ) -> ShardIndex:
        """Return the index of some shards of other indexes.

        Args:
            shards: An index and the number of a shard in it, for each shard, in order.
            names: See `merge`.
            folder: URL of a folder, with a "/" at its end, that has all the shards: the index is
                then right for a copy of that folder too.

        Raises:
            ConfigError: A shard is not in the folder.
        """
        runs: list[Run] = []
        for index, number in shards:
            if runs and runs[-1].file is index._file and runs[-1].stop == number:
                runs[-1] = runs[-1]._replace(stop=number + 1)
            else:
                runs.append(Run(index._file, index._urls, number, number + 1))
        return cls._join(runs, names=names, folder=folder)

    @classmethod
    def _join(cls, runs: Sequence[Run], *, names: bool, folder: str | None = None) -> ShardIndex:
        pieces = file_pieces(joined_parts(runs, names=names, folder=folder))
        return cls.from_buffer(b"".join(pieces), "merged shard index")

    def __len__(self) -> int:
        return self._samples

    def __repr__(self) -> str:
        return f"<ShardIndex of {len(self.shards):,} shards, {self._samples:,} samples>"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        if self._path is not None and self._is_in_file():
            return _from_same_file, (str(self._path), self._folder, self.digest)
        return ShardIndex.from_buffer, (self.to_bytes(), self._file.name, self._folder)

    def _is_in_file(self) -> bool:
        """Return whether the file still has this index, which stays mapped in any case."""
        try:
            _from_same_file(str(self._path), self._folder, self.digest)
        except (OSError, ConfigError, IntegrityError):
            return False
        return True

    @property
    def path(self) -> Path | None:
        """The file that the index is mapped from; None if it is in memory."""
        return self._path

    def to_bytes(self) -> bytes:
        """Return the index as the content of a file."""
        return bytes(self._file.view)

    def check(self) -> None:
        """Check the CRC-32 of all columns, those that are not used yet included.

        Raises:
            IntegrityError: A column is damaged.
        """
        self._file.check()

    @property
    def view(self) -> memoryview:
        """The content of the file, not copied."""
        return self._file.view

    @cached_property
    def digest(self) -> str:
        """What identifies the data: "sha256:" of the shards' names, sizes, pins and sample counts.

        The names begin behind the folder that all shards have in common, so a copy of the data has
        the same digest. Hashes, or names of samples, may be added without changing it.
        """
        hasher = hashlib.sha256()
        for part in _DIGESTED:
            raw = self._file.raw(part)
            hasher.update(b"%d " % len(raw))
            hasher.update(raw)
        urls = list(self._urls)
        folder = commonprefix(urls).rpartition("/")[0]  # noqa: RUF071 - of characters
        for url in urls:
            name = url[len(folder) :].encode("utf-8", "surrogatepass")
            hasher.update(b"%d " % len(name))
            hasher.update(name)
        return f"sha256:{hasher.hexdigest()}"

    @cached_property
    def shards(self) -> Sequence[IndexedShard]:
        """The shards, each made when it is asked for."""
        return ShardRows(self._file, self._firsts, self._urls)

    @cached_property
    def _urls(self) -> StringColumn:
        return shard_urls(self._file, self._folder)

    def shard(self, number: int) -> IndexedShard:
        """Return a shard by its number; IndexError: there is none."""
        return self.shards[number]

    @property
    def mean_sample_bytes(self) -> float:
        """Mean size of a sample in its shard, headers included; 0.0 without samples."""
        total = sum(self._file.numbers("shard.sample_bytes"))
        return total / self._samples if self._samples else 0.0

    @cached_property
    def has_hashes(self) -> bool:
        """Whether each sample that can be read by a range has a hash."""
        flags = bytes(self._file.raw("shard.flags"))
        return not any(flag & IS_RANGED and not flag & IS_HASHED for flag in set(flags))

    @property
    def has_names(self) -> bool:
        """Whether the index has the names of the samples."""
        return "name.text" in self._file

    def span(self, sample: int) -> SampleSpan:
        """Return where a sample is.

        Raises:
            IndexError: The number is below 0 or not below the number of samples.
            IntegrityError: The index is damaged; found when a column is first used.
        """
        if not 0 <= sample < self._samples:
            raise self._no_sample(sample)
        return SampleSpan(
            bisect_right(self._firsts, sample) - 1,
            self._offsets[sample],
            self.sizes[sample],
            self._hash(sample),
        )

    def columns(self, samples: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the offsets and the sizes of samples, as `span` does for one; so does `hashes`."""
        return [self._offsets[one] for one in samples], [self.sizes[one] for one in samples]

    def hashes(self, samples: Iterable[int]) -> list[int | None]:
        """Return the XXH3-64 of the bytes of samples; None for one that the index has none of."""
        return list(map(self._hash, samples))

    def shard_of(self, sample: int) -> int:
        """Return the number of the shard that has a sample; errors as for `span`."""
        if not 0 <= sample < self._samples:
            raise self._no_sample(sample)
        return bisect_right(self._firsts, sample) - 1

    def key(self, sample: int) -> str:
        """Return the key of a sample: the path of its files up to the first dot of the last part.

        Raises:
            IndexError: There is no such sample.
            ConfigError: The index has no names.
        """
        return self._names.key(sample, self.shard_of(sample))

    def keys(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield the keys of samples start to stop - 1; errors as for `key`, at the first one."""
        stop = self._samples if stop is None else min(stop, self._samples)
        return (self.key(sample) for sample in range(start, stop))

    def find(self, key: str) -> int:
        """Return the number of the sample with a key.

        Raises:
            KeyError: No sample has this key; the text has similar ones. Or the index has no names.
            ShardError: Two samples have it; the text names their shards.
        """
        if not self.has_names:
            raise KeyError(f"{key!r}: names are not in this index; `aisio index --names` adds them")
        return self._names.find(key)

    @cached_property
    def _offsets(self) -> memoryview[int]:
        return self._file.numbers("sample.offset")

    @cached_property
    def sizes(self) -> memoryview[int]:
        """The size of each sample in bytes, as `span` returns it."""
        return self._file.numbers("sample.size")

    @cached_property
    def _hash(self) -> Any:
        """A function from a sample's number to its hash or None."""
        if "sample.hash" not in self._file:
            return lambda sample: None
        hashes = self._file.numbers("sample.hash")
        flags, firsts = self._file.raw("shard.flags"), self._firsts
        if all(flag & IS_HASHED for flag in set(bytes(flags))):
            return hashes.__getitem__

        def hash_of(sample: int) -> int | None:
            is_hashed = flags[bisect_right(firsts, sample) - 1] & IS_HASHED
            return hashes[sample] if is_hashed else None

        return hash_of

    @cached_property
    def _names(self) -> NameLookup:
        if not self.has_names:
            raise ConfigError(
                f"{one_line(self._file.name)}: names are not in this index; `aisio index --names`"
                " adds them"
            )
        return NameLookup(self._file, self._firsts, self._urls)

    def _no_sample(self, sample: int) -> IndexError:
        return IndexError(f"sample {sample} of an index with {self._samples:,} samples")


def _from_same_file(path: str, folder: str | None, digest: str) -> ShardIndex:
    index = ShardIndex.from_file(path, folder=folder)
    if index.digest != digest:
        raise IntegrityError(
            f"{path}: this shard index was replaced by one of other data since it was loaded in"
            " another process; load it again"
        )
    return index


def one_shard(
    url: str,
    size_bytes: int,
    pin: str,
    *,
    spans: tuple[array[int], array[int], array[int] | None] | None,
    samples: int,
    keys: Sequence[str] | None,
) -> ShardIndex:
    """Return the index of one shard.

    Args:
        url: Its URL.
        size_bytes: Its size.
        pin: See `IndexedShard`.
        spans: Offsets, sizes and hashes of its samples as arrays of type "Q"; no hashes: None.
            None if it cannot be read by ranges.
        samples: How many samples it has.
        keys: Their keys; None for an index without names.
    """
    parts = shard_parts(url, size_bytes, pin, spans=spans, samples=samples, keys=keys)
    return ShardIndex.from_buffer(b"".join(file_pieces(parts)), f"index of {url}")
