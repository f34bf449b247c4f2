"""Plan: which files go into which shard."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from aisio.errors import ConfigError, ShardError
from aisio.formats.tar import BLOCK_BYTES
from aisio.formats.tar_write import END_OF_ARCHIVE, header_bytes
from aisio.shards.pack_files import (
    NameCount,
    NameCounter,
    PackFile,
    PackSample,
    folder_samples,
)
from aisio.shards.pack_labels import (
    class_order_warning,
    folder_labels,
    label_notes,
    listed_classes,
    read_classes,
    with_label_files,
)
from aisio.shards.pack_list import list_samples
from aisio.shards.pack_order import check_seed, shuffled, split_fractions, split_samples

__all__ = ["DEFAULT_SHARD_BYTES", "Plan", "PlannedShard", "check_prefix", "plan_folder"]

DEFAULT_SHARD_BYTES = 256 * 1024 * 1024
"""Default size of a shard; webdataset's users keep to 0.1 to 1 GB."""

_SETS_SHOWN = 5


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
    members: tuple[PackFile, ...]
    samples: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What packing a folder will write.

    Attributes:
        folder: The folder.
        prefix: What shard names begin with.
        shards: The shards, in order.
        extensions: The sets of extensions that samples have, the most frequent first.
        skipped: Files that belong to no sample, by reason.
        classes: Names of the classes by number, if labels are written.
        splits: Names of the splits, each a folder; ("",) where nothing is split.
        unsplit: How many samples are in no split.
        notes: What else to tell the user: of labels, and of samples that come out class by class.
    """

    folder: Path
    prefix: str
    shards: tuple[PlannedShard, ...]
    extensions: tuple[NameCount, ...]
    skipped: tuple[NameCount, ...]
    classes: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("",)
    unsplit: int = 0
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)

    @property
    def content_bytes(self) -> int:
        """Size of all files that are packed."""
        return sum(member.size_bytes for shard in self.shards for member in shard.members)

    def warnings(self) -> list[str]:
        """Return what to tell the user: samples that differ, files that are left out, the order."""
        texts = [self.odd_extensions()] if len(self.extensions) > 1 else []
        if self.skipped:
            skipped = "; ".join(reason.describe() for reason in self.skipped)
            texts.append(f"files left out, part of no sample: {skipped}")
        if self.unsplit:
            texts.append(
                f"{self.unsplit:,} samples are in no split: the fractions give less than 1"
            )
        return [*texts, *self.notes]

    def odd_extensions(self) -> str:
        """Return which samples have other extensions than most."""
        usual, *odd = self.extensions
        shown = "; ".join(kind.describe("with ") for kind in odd[:_SETS_SHOWN])
        more = f"; and {len(odd) - _SETS_SHOWN:,} other sets" if len(odd) > _SETS_SHOWN else ""
        total = sum(kind.count for kind in self.extensions)
        return (
            f"{total - usual.count:,} of {total:,} samples lack or add extensions to the usual"
            f" {usual.what}: {shown}{more}"
        )


def plan_folder(
    folder: str | os.PathLike[str],
    *,
    samples: int | None = None,
    size_bytes: int | None = None,
    prefix: str = "shard",
    strict: bool = False,
    files: str | os.PathLike[str] | None = None,
    labels_from_folder: bool = False,
    classes: str | os.PathLike[str] | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    split: Mapping[str, float | str] | None = None,
) -> Plan:
    """Decide which samples go into which shard; arguments and errors as for pack_folder()."""
    root, skipped = Path(folder), NameCounter()
    _check_arguments(samples, size_bytes, prefix, seed)
    fractions = split_fractions(split) if split is not None else {}
    found = _find_samples(root, files, skipped)
    labelled, class_names = _label(
        root, found, labels_from_folder, is_list=files is not None, classes_file=classes
    )
    numbered = class_names if classes is None else ()
    notes = label_notes(labelled, numbered, from_folder=labels_from_folder)
    if shuffle is None and not labels_from_folder:
        notes += class_order_warning(labelled)
    is_shuffled = labels_from_folder if shuffle is None else shuffle
    splits, unsplit = _split(labelled, fractions, seed if is_shuffled else None)
    plan = Plan(
        folder=root,
        prefix=prefix,
        shards=tuple(_shards_of_splits(splits, prefix, samples, size_bytes)),
        extensions=_count_extensions(found),
        skipped=skipped.counts(),
        classes=class_names,
        splits=tuple(splits),
        unsplit=unsplit,
        notes=tuple(notes),
    )
    if strict and len(plan.extensions) > 1:
        raise ShardError(f"pack {root}: {plan.odd_extensions()}; nothing was written")
    return plan


def check_prefix(prefix: str) -> str:
    """Return a prefix that names of shards can begin with.

    Raises:
        ConfigError: It is empty, begins with "." or has a "/".
    """
    if not prefix or "/" in prefix or prefix.startswith("."):
        raise ConfigError(
            f"prefix={prefix!r} must be the beginning of a name, without '/' and no '.' first"
        )
    return prefix


def _check_arguments(samples: int | None, size_bytes: int | None, prefix: str, seed: int) -> None:
    if samples is not None and size_bytes is not None:
        raise ConfigError("shards are limited by samples or by size_bytes, not by both")
    for name, limit in (("samples", samples), ("size_bytes", size_bytes)):
        if limit is not None and limit < 1:
            raise ConfigError(f"{name}={limit}: at least 1 is needed")
    check_prefix(prefix)
    check_seed(seed)


def _find_samples(
    root: Path, files: str | os.PathLike[str] | None, skipped: NameCounter
) -> list[PackSample]:
    if files is not None:
        return list_samples(root, Path(files))
    found = folder_samples(root, skipped)
    if not found:
        raise ConfigError(
            f"pack {root}: nothing to pack: no file is named like a sample's, as in 0001.jpg"
        )
    return found


def _label(
    root: Path,
    samples: list[PackSample],
    labels_from_folder: bool,
    *,
    is_list: bool,
    classes_file: str | os.PathLike[str] | None,
) -> tuple[list[PackSample], tuple[str, ...]]:
    """Return the samples with a file for each label, and the names of the classes by number.

    Args:
        root: The folder that is packed.
        samples: Its samples, or those of the list.
        labels_from_folder: The first folder of a sample is its label.
        is_list: The samples are those of a list, which may have labels.
        classes_file: Has the numbers of the classes; None numbers those of the samples.

    Raises:
        ConfigError: Labels are missing, or there are two kinds of them.
    """
    given = read_classes(Path(classes_file)) if classes_file is not None else None
    if labels_from_folder:
        if samples[0].label is not None:
            raise ConfigError(f"pack {root}: the list has labels, so folders cannot give them")
        may_lack = is_list or given is not None
        samples, classes = folder_labels(root, samples, may_lack=may_lack)
    elif samples[0].label is None:
        if given is not None:
            raise ConfigError(f"pack {root}: classes are given, but no sample has a label")
        return samples, ()
    else:
        classes = listed_classes(samples)
    classes = classes if given is None else given
    return with_label_files(samples, classes, f"pack {root}"), tuple(classes)


def _count_extensions(samples: Iterable[PackSample]) -> tuple[NameCount, ...]:
    counter = NameCounter()
    for sample in samples:
        counter.add(", ".join(sample.extensions), sample.key)
    return tuple(sorted(counter.counts(), key=lambda kind: -kind.count))


def _split(
    samples: list[PackSample], fractions: Mapping[str, Fraction], seed: int | None
) -> tuple[Mapping[str, Sequence[PackSample]], int]:
    """Return the samples of each split, "" where nothing is split, and how many are in none.

    Args:
        samples: The samples.
        fractions: Those of the splits; empty for no split.
        seed: Shuffles each split; None leaves it in order.
    """
    splits, unsplit = split_samples(samples, fractions) if fractions else ({"": samples}, 0)
    if seed is not None:
        splits = {name: shuffled(members, seed) for name, members in splits.items()}
    return splits, unsplit


def _shards_of_splits(
    splits: Mapping[str, Sequence[PackSample]],
    prefix: str,
    max_samples: int | None,
    max_bytes: int | None,
) -> Iterator[PlannedShard]:
    limit_bytes = None if max_samples else max_bytes or DEFAULT_SHARD_BYTES
    for name, samples in splits.items():
        start = f"{name}/{prefix}" if name else prefix
        yield from _shards(samples, start, max_samples, limit_bytes)


def _shards(
    samples: Sequence[PackSample],
    prefix: str,
    max_samples: int | None,
    limit_bytes: int | None,
) -> Iterator[PlannedShard]:
    members: list[PackFile] = []
    count = number = 0
    total = len(END_OF_ARCHIVE)
    for sample in samples:
        more = sum(map(_tar_bytes, sample.members))
        if count == max_samples or (count and limit_bytes and total + more > limit_bytes):
            yield PlannedShard(f"{prefix}-{number:06d}.tar", tuple(members), count, total)
            members, count, total, number = [], 0, len(END_OF_ARCHIVE), number + 1
        members += sample.members
        count, total = count + 1, total + more
    yield PlannedShard(f"{prefix}-{number:06d}.tar", tuple(members), count, total)


def _tar_bytes(file: PackFile) -> int:
    payload = -(-file.size_bytes // BLOCK_BYTES) * BLOCK_BYTES
    return header_bytes(file.name, file.size_bytes) + payload
