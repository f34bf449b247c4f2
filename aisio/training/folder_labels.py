"""FolderLabels: the class of a sample, by the folder that it is in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from aisio.errors import ConfigError, ShardError
from aisio.shards.samples import Sample

__all__ = ["FolderLabels", "LabelFrom", "check_label_from", "folder_names"]

LabelFrom: TypeAlias = Literal["folder"]
"""Where the label of a sample comes from: "folder" is the last folder of its key."""


def check_label_from(
    label_from: LabelFrom | None, classes: Sequence[str] | None, owner: str
) -> None:
    """Check the arguments of a dataset.

    Raises:
        ConfigError: There is no such label_from, or classes are no list of different names.
    """
    if label_from not in (None, "folder"):
        raise ConfigError(f'<{owner}> label_from={label_from!r}: "folder" or None is needed')
    if classes is None:
        return
    if label_from is None:
        raise ConfigError(f'<{owner}> classes= are those of label_from="folder": pass it too')
    if (
        isinstance(classes, str)
        or not isinstance(classes, Sequence)
        or not classes
        or not all(isinstance(name, str) and name and "/" not in name for name in classes)
        or len(set(classes)) < len(classes)
    ):
        raise ConfigError(
            f"<{owner}> classes={classes!r}: a list of different names of folders is needed"
        )


def folder_names(keys: Iterable[str]) -> set[str]:
    """Return the last folders of some keys; "" where one is in no folder."""
    folders = {key.rpartition("/")[0] for key in keys}
    return {folder.rpartition("/")[2] for folder in folders}


class FolderLabels:
    """Labels samples by the last folder of their keys.

    A label is the place of the folder in the list of classes, which must be the same in all ranks
    and workers, and in each run.

    Args:
        classes: The names of the folders in the order of their labels; None until `set_classes`.
        owner: Name of the dataset's class, for errors.
    """

    def __init__(self, classes: Sequence[str] | None, owner: str) -> None:
        self._owner = owner
        self._numbers: dict[str, int] | None = None
        if classes is not None:
            self.set_classes(classes)

    @property
    def are_known(self) -> bool:
        """Whether the classes are known."""
        return self._numbers is not None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the folders in the order of their labels."""
        assert self._numbers is not None, "set_classes() was not called"
        return tuple(self._numbers)

    def set_classes(self, classes: Iterable[str]) -> None:
        """Set the names of the folders, in the order of their labels."""
        self._numbers = {name: number for number, name in enumerate(classes)}

    def label(self, sample: Sample) -> int:
        """Return the label of a sample.

        Raises:
            ShardError: It is in no folder, or in one that is no class; or it has a field "cls".
        """
        assert self._numbers is not None, "set_classes() was not called"
        folder = sample.key.rpartition("/")[0].rpartition("/")[2]
        number = self._numbers.get(folder)
        if number is None:
            if not folder:
                raise self._error(sample, 'is in no folder, which label_from="folder" needs')
            raise self._error(sample, f"is in the folder {folder!r}, which classes= does not have")
        if "cls" in sample.fields or "cls" in sample.left_out:
            raise self._error(
                sample,
                'has a field "cls", which label_from="folder" would replace: leave label_from= out',
            )
        return number

    def _error(self, sample: Sample, what: str) -> ShardError:
        return ShardError(
            f"<{self._owner}> {sample.place} {what}", url=sample.url, offset=sample.offset
        )
