"""FolderLabels: labels by the folders of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aisio.errors import ConfigError, ShardError
from aisio.shards.samples import Sample
from aisio.training.folder_labels import FolderLabels, check_label_from, folder_names


def sample(key: str, *fields: str, left_out: Sequence[str] = ()) -> Sample:
    """Return a sample."""
    contents = dict.fromkeys(fields, b"")
    return Sample("ais://b/a.tar", key, key.rpartition("/")[2], contents, 512, list(left_out))


def test_labels_are_places_in_the_classes() -> None:
    """Of the last folder."""
    labels = FolderLabels(["dog", "cat"], "Data")
    assert labels.classes == ("dog", "cat")
    assert [labels.label(sample(key)) for key in ("cat/1", "train/dog/2", "a/b/cat/3")] == [1, 0, 1]


def test_names_of_folders() -> None:
    """The last one of each key; an empty one for a key without."""
    assert folder_names(["train/cat/1", "val/cat/1", "dog/2", "3"]) == {"cat", "dog", ""}


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            sample("1"),
            "ais://b/a.tar: sample '1' at byte 512 is in no folder, which label_from=\"f",
        ),
        (sample("cow/1"), "is in the folder 'cow', which classes= does not have"),
        (sample("cat/1", "cls"), 'has a field "cls", which label_from="folder" would replace'),
        (sample("cat/1", left_out=["cls"]), 'has a field "cls"'),
    ],
)
def test_samples_without_one_label(one: Sample, message: str) -> None:
    """The error names the sample."""
    with pytest.raises(ShardError, match=message):
        FolderLabels(["cat"], "Data").label(one)


@pytest.mark.parametrize(
    ("label_from", "classes", "message"),
    [
        ("path", None, "<Data> label_from='path': \"folder\" or None is needed"),
        (None, ["cat"], '<Data> classes= are those of label_from="folder": pass it too'),
        ("folder", [], r"<Data> classes=\[\]: a list of different names of folders is needed"),
        ("folder", "cat", "classes='cat'"),
        ("folder", ["cat", "cat"], "classes="),
        ("folder", ["a/cat"], "classes="),
        ("folder", [["cat"]], "classes="),
        ("folder", iter(["cat"]), "classes="),
    ],
)
def test_what_cannot_be_is_refused(label_from: Any, classes: Any, message: str) -> None:
    """When the dataset is made."""
    with pytest.raises(ConfigError, match=message):
        check_label_from(label_from, classes, "Data")
