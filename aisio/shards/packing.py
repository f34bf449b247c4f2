"""A folder of files -> tar shards of samples, in a folder or a bucket.

Two steps. plan_folder() looks at names and sizes only and says which shards there will be: what is
wrong with a folder is known before anything is written. write_shards() streams one shard after the
other into a store, which shows it under its name when it is complete; no shard is ever held in
memory or on disk, because its size is known before its first byte is read. The plan itself holds
the name of each file, about 0.3 KB a file.

The same files give the same bytes, anywhere and at any time: samples are sorted by key and their
members by extension, and no owner, mode or time of a file goes into a shard.

Links are followed, files and folders, wherever they lead: caches and version control of data make
folders of links. A link to nowhere, or to a folder that it is in, is an error.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import msgspec

from aisio.client.client import Client
from aisio.errors import ConfigError, ConflictError, NotFoundError, ShardError, StorageError
from aisio.folders import BadLink, walk
from aisio.formats.tar import BLOCK_BYTES, END_OF_ARCHIVE, header
from aisio.records import Checksum
from aisio.shards.reader import split_name
from aisio.shards.writer import ShardFile
from aisio.stores import Store, store_for
from aisio.urls import FILE, ObjectUrl

DEFAULT_SHARD_BYTES = 256 * 1024 * 1024
"""Size of a shard where none is asked for; webdataset's users keep to 0.1 to 1 GB."""

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
        members: Its files, those of one sample side by side.
        samples: Number of samples.
        size_bytes: Size of the whole archive.
    """

    name: str
    members: tuple[FolderFile, ...]
    samples: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something was met.

    Attributes:
        what: An extension set as in "cls, jpg", or why files are left out.
        count: Number of samples or files.
        examples: Names of the first few.
    """

    what: str
    count: int
    examples: tuple[str, ...]

    def describe(self, link: str = "") -> str:
        """Return the tally as text, with a word between number and kind if one is given."""
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
    extensions: tuple[Tally, ...]
    skipped: tuple[Tally, ...]

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)

    def warnings(self) -> list[str]:
        """Say what the owner of the folder should know: samples that differ, files left out."""
        texts = [self.odd_extensions()] if len(self.extensions) > 1 else []
        if self.skipped:
            skipped = "; ".join(tally.describe() for tally in self.skipped)
            texts.append(f"files left out, part of no sample: {skipped}")
        return texts

    def odd_extensions(self) -> str:
        """Say which samples have other extensions than most."""
        usual, *odd = self.extensions
        shown = "; ".join(tally.describe("with ") for tally in odd[:_SETS_SHOWN])
        more = f"; and {len(odd) - _SETS_SHOWN:,} other sets" if len(odd) > _SETS_SHOWN else ""
        count = sum(tally.count for tally in odd)
        return (
            f"{count:,} of {self.samples:,} samples lack or add extensions to the usual"
            f" {usual.what}: {shown}{more}"
        )


class PackedShard(msgspec.Struct, frozen=True):
    """A shard that was written.

    Attributes:
        url: Its URL.
        samples: Number of samples.
        size_bytes: Size of the whole archive.
        checksum: Of the whole archive.
    """

    url: str
    samples: int
    size_bytes: int
    checksum: Checksum


def pack_folder(
    folder: str | os.PathLike[str],
    url: str | ObjectUrl,
    *,
    samples: int | None = None,
    size_bytes: int | None = None,
    prefix: str = "shard",
    strict: bool = False,
    overwrite: bool = False,
    client: Client | None = None,
) -> Iterator[PackedShard]:
    """Pack a folder's files into tar shards `{prefix}-000000.tar` and so on below a URL.

    The folder is looked at now; shards are written as the iterator is read. Samples whose
    extensions differ from the others', and files that are left out, are told by a UserWarning.

    Args:
        folder: Where the files are; what belongs to one sample is said in `aisio.shards.reader`.
        url: Bucket or folder to write to, as in "ais://digits/train" or "file:///data/train".
        samples: Samples in each shard but the last.
        size_bytes: Or else the most bytes in a shard, 256 MiB by default; a sample never spans two,
            so that one which is larger gets a larger shard for itself.
        prefix: What shard names begin with.
        strict: Refuse samples whose extensions differ, before anything is written.
        overwrite: Replace the shards of an earlier run, and delete those that this one has no more.
        client: The cluster, for all but file URLs; without it one made from the environment.

    Yields:
        Each shard once it is stored.

    Raises:
        ConfigError: A number or prefix that cannot work, or nothing to pack.
        ShardError: With strict, samples differ.
        ConflictError: There are shards of this prefix already, and overwrite is false.
        StorageError: A file changed or vanished while it was packed, or the store failed.
    """
    target = ObjectUrl.parse(url) if isinstance(url, str) else url
    plan = plan_folder(folder, samples=samples, size_bytes=size_bytes, prefix=prefix, strict=strict)
    for text in plan.warnings():
        warnings.warn(f"pack {plan.folder}: {text}", stacklevel=2)
    return write_shards(plan, target, store=store_for(target, client), overwrite=overwrite)


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
        root,
        prefix,
        tuple(_shards(groups, prefix, samples, limit)),
        _tally_extensions(groups),
        tuple(Tally(why, len(names), tuple(names[:_EXAMPLES])) for why, names in skipped.items()),
    )
    if strict and len(plan.extensions) > 1:
        raise ShardError(f"pack {root}: {plan.odd_extensions()}; nothing was written")
    return plan


def write_shards(
    plan: Plan, url: ObjectUrl, *, store: Store, overwrite: bool = False
) -> Iterator[PackedShard]:
    """Write the shards of a plan below a URL; yields and errors as for pack_folder().

    With overwrite, each shard replaces its predecessor when it is complete, and those that have no
    successor are deleted last: a reader meanwhile may see shards of both runs.
    """
    _check_outside(plan.folder, url)
    old = _existing_shards(store, url, plan.prefix)
    if old and not overwrite:
        raise ConflictError(
            f"pack {plan.folder}: {url} has {len(old):,} shards of an earlier run, the first"
            f" {old[0]}; overwrite them (--overwrite), or choose another prefix (--prefix)",
            url=str(url),
        )
    names = set()
    for shard in plan.shards:
        target = url.join(shard.name)
        names.add(target.name)
        file = ShardFile(plan.folder, shard.members, shard.size_bytes)
        store.put(target, cast(BinaryIO, file))
        yield PackedShard(str(target), shard.samples, shard.size_bytes, file.checksum())
    for name in old:
        if name not in names:
            store.delete(url.with_name(name), missing_ok=True)


def walk_folder(folder: Path, *, on_error: BadLink | None = None) -> Iterator[FolderFile]:
    """Walk the regular files below a folder, links followed, hidden ones included.

    Args:
        folder: Where to look.
        on_error: See `walk`.

    Raises:
        StorageError: The folder cannot be read, or a link leads to no file.
    """
    try:
        for found in walk(str(folder), on_error=on_error):
            yield FolderFile(found.name, found.stat.st_size)
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from error


def parse_size(text: str) -> int:
    """Read a number of bytes as in "500", "64K", "256M" or "1G"; K is 1,024.

    Raises:
        ConfigError: It is none.
    """
    match = re.fullmatch(r"([0-9]{1,18})([KMGT]?)", text.strip().upper())
    if match is None:
        raise ConfigError(f"{text!r} is not a number of bytes: expected one as in 64K, 256M or 1G")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


def _check_limits(samples: int | None, size_bytes: int | None, prefix: str) -> None:
    if samples is not None and size_bytes is not None:
        raise ConfigError("shards are limited by samples or by size_bytes, not by both")
    for name, limit in (("samples", samples), ("size_bytes", size_bytes)):
        if limit is not None and limit < 1:
            raise ConfigError(f"{name}={limit}: at least 1 is needed")
    if not prefix or "/" in prefix:
        raise ConfigError(f"prefix={prefix!r} must be the beginning of a name, without '/'")


def _check_outside(folder: Path, url: ObjectUrl) -> None:
    if url.provider == FILE and Path("/", url.name).resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"pack {folder}: {url} is in the folder itself, so that the next run would pack shards;"
            " write to another folder"
        )


def _existing_shards(store: Store, url: ObjectUrl, prefix: str) -> list[str]:
    start = url.join(f"{prefix}-")
    shard = re.compile(re.escape(start.name) + r"[0-9]{6,}\.tar")
    try:
        return [info.name for info in store.list(start) if shard.fullmatch(info.name)]
    except NotFoundError:
        if url.provider == FILE:
            return []
        raise


def _keyed(files: Iterable[FolderFile], skipped: dict[str, list[str]]) -> Iterator[_Row]:
    """Give key and extension of the files of samples; put aside the others by reason."""
    for file in files:
        split = split_name(file.name)
        if file.name.startswith(".") or "/." in file.name:
            skipped.setdefault("hidden", []).append(file.name)
        elif split is None:
            skipped.setdefault("without extension", []).append(file.name)
        else:
            yield *split, file


def _tally_extensions(groups: Iterable[list[_Row]]) -> tuple[Tally, ...]:
    sets: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for group in groups:
        what = ", ".join(row[1] for row in group)
        counts[what] = counts.get(what, 0) + 1
        examples = sets.setdefault(what, [])
        if len(examples) < _EXAMPLES:
            examples.append(group[0][0])
    by_count = sorted(counts, key=lambda what: -counts[what])
    return tuple(Tally(what, counts[what], tuple(sets[what])) for what in by_count)


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
