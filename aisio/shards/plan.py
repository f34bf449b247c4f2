"""Plan: which files of a folder go into which shard."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import msgspec

from aisio.errors import ConfigError, ShardError, StorageError
from aisio.folder_walk import OnBrokenLink, walk
from aisio.formats.tar import BLOCK_BYTES
from aisio.formats.tar_write import END_OF_ARCHIVE, header
from aisio.shards.samples import split_name

DEFAULT_SHARD_BYTES = 256 * 1024 * 1024
"""Default size of a shard; webdataset's users keep to 0.1 to 1 GB."""

_EXAMPLES = 3
_SETS_SHOWN = 5


class FolderFile(msgspec.Struct, frozen=True, gc=False):
    """A file below a folder.

    Attributes:
        name: Its path from the folder, with "/".
        size_bytes: Its size when the folder was walked.
    """

    name: str
    size_bytes: int


_Row: TypeAlias = tuple[str, str, FolderFile]
"""Sample key, extension, file."""


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard to be written.

    Attributes:
        name: Its name below the URL that shards are written to.
        members: Its files, those of one sample next to each other.
        samples: Number of samples.
        size_bytes: Size of the whole archive.
    """

    name: str
    members: tuple[FolderFile, ...]
    samples: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NameCount:
    """How many samples or files are of one kind.

    Attributes:
        what: The kind: a set of extensions as in "cls, jpg", or why files are left out.
        count: Number of samples or files.
        examples: Names of the first few.
    """

    what: str
    count: int
    examples: tuple[str, ...]

    def describe(self, link: str = "") -> str:
        """Return the count as text, with an optional word between number and kind."""
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,} {link}{self.what} ({', '.join(self.examples)}{more})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What packing a folder will write.

    Attributes:
        folder: The folder.
        prefix: What shard names begin with.
        shards: The shards, in order.
        extensions: The sets of extensions that samples have, the most frequent first.
        skipped: Files that belong to no sample, by reason.
    """

    folder: Path
    prefix: str
    shards: tuple[PlannedShard, ...]
    extensions: tuple[NameCount, ...]
    skipped: tuple[NameCount, ...]

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)

    def warnings(self) -> list[str]:
        """Return what to tell the user: samples that differ, files that are left out."""
        texts = [self.odd_extensions()] if len(self.extensions) > 1 else []
        if self.skipped:
            skipped = "; ".join(reason.describe() for reason in self.skipped)
            texts.append(f"files left out, part of no sample: {skipped}")
        return texts

    def odd_extensions(self) -> str:
        """Return which samples have other extensions than most."""
        usual, *odd = self.extensions
        shown = "; ".join(kind.describe("with ") for kind in odd[:_SETS_SHOWN])
        more = f"; and {len(odd) - _SETS_SHOWN:,} other sets" if len(odd) > _SETS_SHOWN else ""
        count = sum(kind.count for kind in odd)
        return (
            f"{count:,} of {self.samples:,} samples lack or add extensions to the usual"
            f" {usual.what}: {shown}{more}"
        )


def plan_folder(
    folder: str | os.PathLike[str],
    *,
    samples: int | None = None,
    size_bytes: int | None = None,
    prefix: str = "shard",
    strict: bool = False,
) -> Plan:
    """Decide which samples go into which shard; arguments and errors as for pack_folder()."""
    root = Path(folder)
    _check_limits(samples, size_bytes, prefix)
    skipped: dict[str, list[str]] = {}
    keyed = sorted(_keyed(walk_folder(root), skipped), key=lambda row: row[:2])
    groups = [list(group) for _, group in groupby(keyed, key=lambda row: row[0])]
    if not groups:
        raise ConfigError(
            f"pack {root}: nothing to pack: no file is named like a sample's, as in 0001.jpg"
        )
    limit = None if samples else size_bytes or DEFAULT_SHARD_BYTES
    plan = Plan(
        folder=root,
        prefix=prefix,
        shards=tuple(_shards(groups, prefix, samples, limit)),
        extensions=_count_extensions(groups),
        skipped=tuple(
            NameCount(why, len(names), tuple(names[:_EXAMPLES])) for why, names in skipped.items()
        ),
    )
    if strict and len(plan.extensions) > 1:
        raise ShardError(f"pack {root}: {plan.odd_extensions()}; nothing was written")
    return plan


def walk_folder(folder: Path, *, on_error: OnBrokenLink | None = None) -> Iterator[FolderFile]:
    """Walk the regular files below a folder, links followed, hidden ones included.

    Args:
        folder: Where to look.
        on_error: See `walk`.

    Raises:
        StorageError: The folder cannot be read, or a link leads to no file.
    """
    try:
        for file in walk(str(folder), on_error=on_error):
            yield FolderFile(file.name, file.stat.st_size)
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from error


def _check_limits(samples: int | None, size_bytes: int | None, prefix: str) -> None:
    if samples is not None and size_bytes is not None:
        raise ConfigError("shards are limited by samples or by size_bytes, not by both")
    for name, limit in (("samples", samples), ("size_bytes", size_bytes)):
        if limit is not None and limit < 1:
            raise ConfigError(f"{name}={limit}: at least 1 is needed")
    if not prefix or "/" in prefix:
        raise ConfigError(f"prefix={prefix!r} must be the beginning of a name, without '/'")


def _keyed(files: Iterable[FolderFile], skipped: dict[str, list[str]]) -> Iterator[_Row]:
    """Yield key, extension and file of the files of samples; collect the others by reason."""
    for file in files:
        split = split_name(file.name)
        if file.name.startswith(".") or "/." in file.name:
            skipped.setdefault("hidden", []).append(file.name)
        elif split is None:
            skipped.setdefault("without extension", []).append(file.name)
        else:
            yield *split, file


def _count_extensions(groups: Iterable[list[_Row]]) -> tuple[NameCount, ...]:
    sets: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for group in groups:
        what = ", ".join(row[1] for row in group)
        counts[what] = counts.get(what, 0) + 1
        examples = sets.setdefault(what, [])
        if len(examples) < _EXAMPLES:
            examples.append(group[0][0])
    by_count = sorted(counts, key=lambda what: -counts[what])
    return tuple(NameCount(what, counts[what], tuple(sets[what])) for what in by_count)


def _shards(
    groups: Iterable[list[_Row]],
    prefix: str,
    samples: int | None,
    limit_bytes: int | None,
) -> Iterator[PlannedShard]:
    members: list[FolderFile] = []
    count = number = 0
    total = len(END_OF_ARCHIVE)
    for group in groups:
        files = [row[2] for row in group]
        more = sum(map(_tar_bytes, files))
        if count == samples or (count and limit_bytes and total + more > limit_bytes):
            yield PlannedShard(f"{prefix}-{number:06d}.tar", tuple(members), count, total)
            members, count, total, number = [], 0, len(END_OF_ARCHIVE), number + 1
        members += files
        count, total = count + 1, total + more
    yield PlannedShard(f"{prefix}-{number:06d}.tar", tuple(members), count, total)


def _tar_bytes(file: FolderFile) -> int:
    payload = -(-file.size_bytes // BLOCK_BYTES) * BLOCK_BYTES
    return len(header(file.name, file.size_bytes)) + payload
