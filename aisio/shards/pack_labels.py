"""Labels of samples as the field `cls`: the number of the class, as torchvision counts classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from aisio.errors import ConfigError, ShardError, StorageError
from aisio.escapes import first_few
from aisio.shards.pack_files import GeneratedFile, PackSample

__all__ = [
    "LABEL_FIELD",
    "class_order_warning",
    "folder_labels",
    "label_notes",
    "listed_classes",
    "read_classes",
    "with_label_files",
]

LABEL_FIELD = "cls"
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?(e[-+]?[0-9]+)?")


def folder_labels(
    folder: Path, samples: Iterable[PackSample], *, may_lack: bool
) -> tuple[list[PackSample], list[str]]:
    """Return the samples with the first folder of each as its label, and all class folders, sorted.

    Args:
        folder: The folder that is packed.
        samples: Its samples.
        may_lack: Whether the samples may lack some of the class folders.

    Raises:
        ConfigError: A file is in no class folder, or a class folder has no sample.
    """
    labelled = [msgspec.structs.replace(one, label=one.folder) for one in samples]
    outside = [one.members[0].name for one in labelled if not one.label]
    if outside:
        raise ConfigError(
            f"pack {folder}: {len(outside):,} samples are not in a class folder"
            f" ({first_few(outside)}): labels from folders need every file in one, as in"
            " cat/0001.jpg"
        )
    names = {one.label for one in labelled if one.label}
    is_class = (path for path in folder.iterdir() if path.name[0] != "." and path.is_dir())
    classes = sorted(names.union(path.name for path in is_class))
    empty = [name for name in classes if name not in names]
    if empty and not may_lack:
        raise ConfigError(
            f"pack {folder}: no samples in {len(empty):,} of the class folders"
            f" ({first_few(empty)}): fill or remove them"
        )
    return labelled, classes


def read_classes(path: Path) -> list[str]:
    """Return the classes of a file as `classes.json`, by their numbers.

    Raises:
        ConfigError: It is no JSON object of names with the numbers from 0 on.
        StorageError: It cannot be read.
    """
    try:
        numbers = json.loads(path.read_bytes())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not (numbers and isinstance(numbers, dict)) or sorted(numbers.values(), key=str) != sorted(
        range(len(numbers)), key=str
    ):
        raise ConfigError(f"{path}: expected names with the numbers from 0 on, as in {{'cat': 0}}")
    return sorted(numbers, key=lambda name: int(numbers[name]))


def listed_classes(samples: Iterable[PackSample]) -> list[str]:
    """Return the labels of samples, sorted; none where all of them are whole numbers."""
    labels = {one.label for one in samples if one.label is not None}
    return [] if all(map(_is_number, labels)) else sorted(labels)


def with_label_files(
    samples: Iterable[PackSample], classes: Sequence[str], what: str
) -> list[PackSample]:
    """Add to each sample the file with its number: the place of its label among the classes.

    Args:
        samples: The samples, all of them with labels.
        classes: The classes by number; none where the labels themselves are numbers.
        what: What is packed, for errors.

    Raises:
        ConfigError: A label is none of the classes.
        ShardError: A sample has a field of that name.
    """
    contents = {label: b"%d" % number for number, label in enumerate(classes)}
    labelled = []
    for sample in samples:
        assert sample.label is not None
        if LABEL_FIELD in sample.extensions:
            raise ShardError(
                f"{what}: sample {sample.key!r} has a file .{LABEL_FIELD} and a label"
                f" ({sample.label!r}) too: remove one of them"
            )
        if classes and sample.label not in contents:
            raise ConfigError(
                f"{what}: sample {sample.key!r} is of the class {sample.label!r}, which is none of"
                f" the {len(classes):,} given"
            )
        data = contents[sample.label] if classes else b"%d" % int(sample.label)
        labelled.append(sample.with_member(GeneratedFile(f"{sample.key}.{LABEL_FIELD}", data)))
    return labelled


def label_notes(
    samples: Sequence[PackSample], classes: Iterable[str], *, from_folder: bool
) -> list[str]:
    """Return what to tell the user of labels that may be others than meant.

    Args:
        samples: The samples.
        classes: The classes by number.
        from_folder: Whether the labels are folders.
    """
    if from_folder:
        return _merged_images(samples)
    numbers = [name for name in classes if _NUMBER.fullmatch(name)]
    if not numbers:
        return []
    return [
        f"labels such as {first_few(list(map(repr, numbers)))} are taken as names, as not all are"
        " whole numbers from 0 on: classes.json has the number that each of them gets"
    ]


def _merged_images(samples: Sequence[PackSample]) -> list[str]:
    """Return a note of files that make one sample, and that ImageFolder would take for several."""
    merged = []
    for sample in samples:
        formats = [extension.rpartition(".")[2].lower() for extension in sample.extensions]
        if len(set(formats)) < len(formats):
            merged.append(sample)
    if not merged:
        return []
    names = first_few([member.name for member in merged[0].members])
    return [
        f"{len(merged):,} of {len(samples):,} samples have several files of one format ({names}):"
        " the name of a sample ends at the first dot; rename the files if each is a sample"
    ]


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def class_order_warning(samples: Sequence[PackSample]) -> list[str]:
    """Return a warning if samples stand class by class in their order; none if they do not.

    A sample without a label counts as one of its first folder.
    """
    order = [one.folder if one.label is None else one.label for one in samples]
    runs = [label for number, label in enumerate(order) if not number or label != order[number - 1]]
    if len(runs) < 2 or len(runs) != len(set(runs)) or len(order) == len(runs):
        return []
    has_labels = samples[0].label is not None or LABEL_FIELD in samples[0].extensions
    kind = "class" if samples[0].label is not None else "folder"
    hint = "" if has_labels else "; --labels-from-folder adds the labels"
    names = first_few([run or "./" for run in runs])
    return [
        f"the shards are in the order of their {len(runs):,} {kind}"
        f"{'es' if kind == 'class' else 's'} ({names}), and a reader that shuffles only"
        f" what it reads next sees few of them at a time: --shuffle mixes them{hint}"
    ]
