"""Pack a folder of files into tar shards of samples, in a folder or a bucket.

There are two steps. plan_folder() reads names and sizes only, and decides which shards there will
be: it finds what is wrong with a folder before anything is written. write_shards() streams several
shards at a time into a store, which shows each under its name when it is complete. No shard is
ever held in memory or on disk, because its size is known before its first byte is read. The plan
holds the name of each file, about 0.6 KB a file; each shard that is written, some 3 MiB.

The same files give the same bytes, anywhere and at any time: samples are in the order of their keys
or of a hash of them, their members sorted by extension, and a shard stores no owner, mode or time
of a file. So a run that was interrupted is repeated: a shard that is in the store with the size and
checksum that it would have is not sent again. Where its files are the same as when it was sent (by
name, size and times), they are not even read: the cache of this machine has the shard's index until
the run has ended.

Links to files and folders are followed wherever they lead: caches and version control of data make
folders of links. A link to nowhere is an error; a link to a folder that it is in is left out.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from aisio.client.client import Client
from aisio.errors import ConfigError, ConflictError, NotFoundError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_jobs import in_threads
from aisio.shards.index_pins import pin_of
from aisio.shards.names import CLASSES_NAME
from aisio.shards.pack_cache import PackCache
from aisio.shards.plan import Plan, PlannedShard, plan_folder
from aisio.shards.shard_file import CHECKSUM_KIND, OnPacked, ShardFile
from aisio.shards.shard_folder import ShardFolder
from aisio.stores import Store, store_for
from aisio.urls import FILE, ObjectUrl

__all__ = ["PackedShard", "pack_folder", "write_shards"]

_CHUNK_BYTES = 1024 * 1024


class PackedShard(msgspec.Struct, frozen=True):
    """A shard that is in the store.

    Attributes:
        url: Its URL.
        samples: Number of samples.
        size_bytes: Size of the whole archive.
        checksum: Of the whole archive.
        was_stored: Whether it was there before, with these bytes.
    """

    url: str
    samples: int
    size_bytes: int
    checksum: Checksum
    was_stored: bool = False


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
    files: str | os.PathLike[str] | None = None,
    labels_from_folder: bool = False,
    classes: str | os.PathLike[str] | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    split: Mapping[str, float | str] | None = None,
    jobs: int = 4,
) -> Iterator[PackedShard]:
    """Pack a folder's files into tar shards `{prefix}-000000.tar` and so on below a URL.

    The call reads the folder; the iterator that it returns writes the shards, and their index last.
    A UserWarning names samples whose extensions differ from the others', and files that are left
    out; another says that the shards are in the order of their classes.

    A run that was interrupted can be repeated: what is stored already is not sent again.

    Args:
        folder: Where the files are; `aisio.shards.reader` says what belongs to one sample.
        url: Bucket or folder to write to, as in "ais://digits/train" or "file:///data/train".
        samples: Samples in each shard but the last.
        size_bytes: Instead, the maximum size of a shard, 256 MiB by default. A sample never spans
            two shards, so a sample that is larger gets a larger shard for itself.
        prefix: What shard names begin with.
        strict: Refuse samples whose extensions differ, before anything is written.
        overwrite: Replace the shards of an earlier run, and delete those that this run does not
            replace.
        client: The cluster, for all but file URLs; by default one made from the environment.
        files: A list of the files to pack, with labels and other columns; see
            `aisio.shards.pack_list`. By default all files of the folder.
        labels_from_folder: Write a field `cls`: the number of the first folder among all first
            folders, sorted, as torchvision's ImageFolder counts. `classes.json` has the names.
        classes: A file as `classes.json`, of another run: the numbers of the classes.
        shuffle: Pack the samples in the order of a hash of their keys; by default if labels come
            from folders. False packs them in the order of their keys, or of the list, and warns
            of nothing.
        seed: Of that hash, 0 to 2**64 - 1.
        split: Fractions by name, as in {"train": 0.9, "val": 0.1}: each goes into a folder of its
            own below the URL, with an index of its own. The share of a class is the same in all
            of them, and the seed makes no difference to it.
        jobs: How many shards to write at a time.

    Yields:
        Each shard once it is stored.

    Raises:
        ConfigError: An impossible number or prefix, or nothing to pack.
        ShardError: With strict, samples differ.
        ConflictError: Other shards of this prefix exist, and overwrite is false.
        StorageError: A file changed or vanished while it was packed, or the store failed.
    """
    target = ObjectUrl.parse(url) if isinstance(url, str) else url
    plan = plan_folder(
        folder,
        samples=samples,
        size_bytes=size_bytes,
        prefix=prefix,
        strict=strict,
        files=files,
        labels_from_folder=labels_from_folder,
        classes=classes,
        shuffle=shuffle,
        seed=seed,
        split=split,
    )
    for text in plan.warnings():
        warnings.warn(f"pack {plan.folder}: {text}", stacklevel=2)
    store = store_for(target, client)
    return write_shards(plan, target, store=store, overwrite=overwrite, jobs=jobs)


def write_shards(
    plan: Plan,
    url: ObjectUrl,
    *,
    store: Store,
    overwrite: bool = False,
    jobs: int = 4,
    on_packed: OnPacked | None = None,
) -> Generator[PackedShard, None, None]:
    """Write the shards of a plan below a URL; yields and errors as for pack_folder().

    With overwrite, each shard replaces the older one of its name when it is complete, and the other
    older shards are deleted after the last. Until then a reader may see shards of both runs.

    Args:
        plan: What to write.
        url: Where to.
        store: The store of that URL.
        overwrite: See pack_folder().
        jobs: How many shards to write at a time; 1 writes each when the iterator is advanced.
        on_packed: See `OnPacked`; called from several threads.
    """
    if jobs < 1:
        raise ConfigError(f"jobs={jobs}: at least 1 is needed")
    run = _Run(plan, url, store, overwrite=overwrite)
    run.begin()
    stored = []
    with closing(_stored(run, jobs, on_packed)) as shards:
        for shard in shards:
            stored.append(shard)
            yield shard.packed
    run.finish(stored)


class _StoredShard(NamedTuple):
    """A shard that is in the store.

    Attributes:
        planned: The shard as it was planned.
        packed: What the caller is told.
        shard_index: Its index.
    """

    planned: PlannedShard
    packed: PackedShard
    shard_index: ShardIndex


def _stored(
    run: _Run, jobs: int, on_packed: OnPacked | None
) -> Generator[_StoredShard, None, None]:
    def store(shard: PlannedShard, count: Callable[[int], None]) -> _StoredShard:
        def on_piece(size_bytes: int, files: int) -> None:
            count(size_bytes)
            if on_packed is not None:
                on_packed(size_bytes, files)

        return run.store_shard(shard, on_piece)

    if jobs == 1:
        return (store(shard, lambda count: None) for shard in run.plan.shards)
    return in_threads(store, run.plan.shards, jobs=jobs)


class _Run:
    """The shards of a plan on their way into a store."""

    def __init__(self, plan: Plan, url: ObjectUrl, store: Store, *, overwrite: bool) -> None:
        self.plan = plan
        self._base = ShardFolder(store, url, plan.prefix)
        self._folders = {
            name: ShardFolder(store, self._base.url.join(f"{name}/"), plan.prefix)
            if name
            else self._base
            for name in plan.splits
        }
        self._overwrite = overwrite
        self._cache = PackCache()
        self._existing: dict[str, ObjectInfo] = {}
        self._has_classes: set[str] = set()
        self._was_unsplit = False

    def begin(self) -> None:
        """Look at what is there of earlier runs; errors as for pack_folder()."""
        _check_outside(self.plan.folder, self._base.url)
        self._cache.remove_abandoned()
        for folder in self._folders.values():
            folder.remove_abandoned()
            self._existing |= folder.existing()
        if "" not in self._folders:
            # Shards of a run without splits: a reader of the whole folder would read both.
            unsplit = self._base.existing()
            self._was_unsplit = bool(unsplit)
            self._existing |= unsplit
        sizes = {self._url(shard): shard.size_bytes for shard in self.plan.shards}
        others = [url for url, info in self._existing.items() if sizes.get(url) != info.size_bytes]
        if others and not self._overwrite:
            count = len(self._existing)
            raise self._conflict(
                f"has {count:,} shard{'s' * (count != 1)} of an earlier run, and others than this"
                f" one would write: the first is {others[0]}"
            )
        if self.plan.classes:
            self._check_classes()

    def store_shard(self, shard: PlannedShard, on_packed: OnPacked) -> _StoredShard:
        """Store a shard, unless it is there.

        Raises:
            ConflictError: Another is there in its place, and nothing may be overwritten.
        """
        url = self._url(shard)
        info = self._existing.get(url)
        if info is not None and (known := self._cache.find(url, shard)) is not None:
            index, checksum = known
            if self._has_pin(info, index.shard(0).pin):
                return self._known(shard, index, checksum, on_packed)
        folder, members = self.plan.folder, shard.members
        if info is not None:
            # The progress shows it when it is known that it need not be read again.
            file = ShardFile(
                folder, members, shard.size_bytes, on_packed=lambda *_: on_packed(0, 0)
            )
            if self._is_stored(file, info):
                index, checksum = file.index(url, pin_of(info)), file.checksum()
                return self._known(shard, index, checksum, on_packed)
        file = ShardFile(folder, members, shard.size_bytes, on_packed=on_packed)
        info = self._base.store.put(self._base.url.join(shard.name), cast(BinaryIO, file))
        index, checksum = file.index(url, pin_of(info)), file.checksum()
        self._cache.save(url, shard, index, checksum)
        packed = PackedShard(url, shard.samples, shard.size_bytes, checksum)
        return _StoredShard(shard, packed, index)

    def _known(
        self, shard: PlannedShard, index: ShardIndex, checksum: Checksum, on_packed: OnPacked
    ) -> _StoredShard:
        for member in shard.members:
            on_packed(member.size_bytes, 1)
        url = self._url(shard)
        packed = PackedShard(url, shard.samples, shard.size_bytes, checksum, was_stored=True)
        return _StoredShard(shard, packed, index)

    def _has_pin(self, info: ObjectInfo, pin: str) -> bool:
        """Return whether a shard that is there is the version that has this pin."""
        # Versions are counted anew in another cluster, and where a bucket was deleted meanwhile.
        if not pin or pin.startswith("version:"):
            return False
        if pin_of(info) == pin:
            return True
        # A listing may tell less than the store knows.
        return pin_of(self._base.store.head(self._base.url.with_name(info.name))) == pin

    def _is_stored(self, file: ShardFile, info: ObjectInfo) -> bool:
        """Return whether a shard that is there has the bytes of this one, which is read for that.

        Raises:
            ConflictError: It has others, and may not be overwritten.
        """
        if info.size_bytes == file.seek(0, os.SEEK_END):
            file.seek(0)
            while file.read(_CHUNK_BYTES):
                pass
            if file.checksum() == self._stored_checksum(info):
                return True
        if not self._overwrite:
            raise self._conflict(
                f"has a shard {info.url} with other bytes: a file has changed since, or it is of"
                " another run"
            )
        return False

    def _stored_checksum(self, info: ObjectInfo) -> Checksum:
        """Return the checksum of a shard in the store, which is read if the store tells none."""
        if info.checksum is not None and info.checksum.kind == CHECKSUM_KIND:
            return info.checksum
        hasher = HASHERS[CHECKSUM_KIND]()
        with self._base.store.get(self._base.url.with_name(info.name)) as body:
            while data := body.read(_CHUNK_BYTES):
                hasher.update(data)
        return Checksum(CHECKSUM_KIND, hasher.hexdigest())

    def finish(self, stored: list[_StoredShard]) -> None:
        """Delete what is left of an earlier run; write the names of the classes, and the index."""
        written = {shard.packed.url for shard in stored}
        self._base.delete(info for url, info in self._existing.items() if url not in written)
        for split, folder in self._folders.items():
            start = f"{split}/" if split else ""
            if self.plan.classes and split not in self._has_classes:
                folder.store.put(folder.url.join(CLASSES_NAME), self._classes())
            shards = [
                (shard.shard_index, 0) for shard in stored if shard.planned.name.startswith(start)
            ]
            folder.write_index(shards)
        if self._was_unsplit:
            self._base.write_index([])
        for shard in stored:
            self._cache.forget(shard.packed.url, shard.planned)

    def _check_classes(self) -> None:
        """Raise an error if the classes of an earlier run are others, and must stay."""
        for split, folder in self._folders.items():
            url = folder.url.join(CLASSES_NAME)
            with suppress(NotFoundError):
                if folder.store.read(url) == self._classes():
                    self._has_classes.add(split)
                elif not self._overwrite:
                    raise self._conflict(f"has other classes, in {url}")

    def _classes(self) -> bytes:
        numbers = {name: number for number, name in enumerate(self.plan.classes)}
        return json.dumps(numbers, indent=1).encode() + b"\n"

    def _url(self, shard: PlannedShard) -> str:
        return str(self._base.url.join(shard.name))

    def _conflict(self, text: str) -> ConflictError:
        return ConflictError(
            f"pack {self.plan.folder}: {self._base.url} {text}; overwrite (--overwrite), or choose"
            " another prefix (--prefix) or folder",
            url=str(self._base.url),
        )


def _check_outside(folder: Path, url: ObjectUrl) -> None:
    if url.provider == FILE and Path("/", url.name).resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"pack {folder}: {url} is in the folder itself, so that the next run would pack shards;"
            " write to another folder"
        )
