"""Labels of samples as the field `cls`: the number of the class, as torchvision counts classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from aisio.errors import ConfigError, ShardError
from aisio.shards.pack_files import GeneratedFile, PackSample

__all__ = [
    "LABEL_FIELD",
    "class_order_warning",
    "folder_labels",
    "listed_classes",
    "with_label_files",
]

LABEL_FIELD = "cls"
_SHOWN = 3


def folder_labels(
    folder: Path, samples: Iterable[PackSample], *, is_list: bool
) -> tuple[list[PackSample], list[str]]:
    """Return the samples with the first folder of each as its label, and all class folders, sorted.

    Args:
        folder: The folder that is packed.
        samples: Its samples.
        is_list: Whether a list names the samples, which may lack some of the classes.

    Raises:
        ConfigError: A file is in no class folder, or a class folder has no sample.
    """
    labelled = [msgspec.structs.replace(one, label=one.folder) for one in samples]
    outside = [one.members[0].name for one in labelled if not one.label]
    if outside:
        raise ConfigError(
            f"pack {folder}: {len(outside):,} samples are not in a class folder"
            f" ({_shown(outside)}): labels from folders need every file in one, as in cat/0001.jpg"
        )
    names = {one.label for one in labelled if one.label}
    is_class = (path for path in folder.iterdir() if path.name[0] != "." and path.is_dir())
    classes = sorted(names.union(path.name for path in is_class))
    empty = [name for name in classes if name not in names]
    if empty and not is_list:
        raise ConfigError(
            f"pack {folder}: no samples in {len(empty):,} of the class folders ({_shown(empty)}):"
            " fill or remove them"
        )
    return labelled, classes


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
        classes: The classes, sorted; none where the labels themselves are numbers.
        what: What is packed, for errors.

    Raises:
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
        data = contents[sample.label] if classes else b"%d" % int(sample.label)
        labelled.append(sample.with_member(GeneratedFile(f"{sample.key}.{LABEL_FIELD}", data)))
    return labelled


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def class_order_warning(samples: Sequence[PackSample]) -> str:
    """Return a warning if samples stand class by class in their order; "" if they do not.

    A sample without a label counts as one of its first folder.
    """
    order = [one.folder if one.label is None else one.label for one in samples]
    runs = [label for number, label in enumerate(order) if not number or label != order[number - 1]]
    if len(runs) < 2 or len(runs) != len(set(runs)) or len(order) == len(runs):
        return ""
    has_labels = samples[0].label is not None or LABEL_FIELD in samples[0].extensions
    kind = "class" if samples[0].label is not None else "folder"
    hint = "" if has_labels else "; --labels-from-folder adds the labels"
    return (
        f"the shards are in the order of their {len(runs):,} {kind}"
        f"{'es' if kind == 'class' else 's'} ({_shown(runs)}), and a reader that shuffles only"
        f" what it reads next sees few of them at a time: --shuffle mixes them{hint}"
    )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
