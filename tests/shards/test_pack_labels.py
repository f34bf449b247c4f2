"""Labels from folders and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError, ShardError, StorageError
from aisio.shards.pack_files import FolderFile, GeneratedFile, PackSample
from aisio.shards.pack_labels import (
    class_order_warning,
    folder_labels,
    label_notes,
    listed_classes,
    read_classes,
    with_label_files,
)


def sample(key: str, label: str | None = None, extension: str = "jpg") -> PackSample:
    """Return a sample of one file."""
    return PackSample(key, (FolderFile(f"{key}.{extension}", 1),), label)


def folders(root: Path, *names: str) -> Path:
    """Make folders and return their parent."""
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_classes_are_the_first_folders_sorted(tmp_path: Path) -> None:
    """As text, numbers too: that is how torchvision sorts them."""
    root = folders(tmp_path, "10", "9/deep")
    labelled, classes = folder_labels(root, [sample("10/a"), sample("9/deep/b")], may_lack=False)
    assert [one.label for one in labelled] == ["10", "9"]
    assert classes == ["10", "9"]
    files = [one.members[0] for one in with_label_files(labelled, classes, "pack")]
    assert files == [GeneratedFile("10/a.cls", b"0"), GeneratedFile("9/deep/b.cls", b"1")]


def test_a_file_in_no_folder_has_no_label(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ConfigError, match=r"1 samples are not in a class folder \(b.jpg\)"):
        folder_labels(tmp_path, [sample("a/a"), sample("b")], may_lack=False)


def test_a_class_without_samples_is_an_error(tmp_path: Path) -> None:
    """The classes behind it would have other numbers than elsewhere; hidden folders are none."""
    root = folders(tmp_path, "a", "b", ".git")
    with pytest.raises(ConfigError, match=r"no samples in 1 of the class folders \(b\)"):
        folder_labels(root, [sample("a/1")], may_lack=False)


def test_a_class_may_be_lacking(tmp_path: Path) -> None:
    """Those of the training and of the validation set have the same numbers."""
    root = folders(tmp_path, "a", "b", "c")
    assert folder_labels(root, [sample("c/1")], may_lack=True)[1] == ["a", "b", "c"]


def test_labels_that_are_numbers_stay() -> None:
    """All of them must be."""
    assert listed_classes([sample("a", "7"), sample("b", "07")]) == []
    assert listed_classes([sample("a", "7"), sample("b", "cat")]) == ["7", "cat"]
    (labelled,) = with_label_files([sample("a", "007")], [], "pack")
    assert labelled.members[0] == GeneratedFile("a.cls", b"7")


def test_a_label_and_a_file_of_that_field_are_one_too_many() -> None:
    """The sample is named."""
    with pytest.raises(
        ShardError, match=r"pack in: sample 'a' has a file .cls and a label \('7'\)"
    ):
        with_label_files([sample("a", "7", "cls")], [], "pack in")


def test_class_order_is_noticed() -> None:
    """Where each class is one run, and there is something to mix."""
    in_order = [sample("a/1"), sample("a/2"), sample("b/1")]
    (text,) = class_order_warning(in_order)
    assert "in the order of their 2 folders (a, b)" in text
    assert "--labels-from-folder" in text
    (text,) = class_order_warning([sample("1"), *in_order])
    assert "3 folders (./, a, b)" in text
    labelled = [sample(str(number), label) for number, label in enumerate("ccab")]
    (text,) = class_order_warning(labelled)
    assert "3 classes (c, a, b)" in text
    assert "--labels-from-folder" not in text


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["7", "cat"], "labels such as '7' are taken as names, as not all are whole numbers"),
        (["-1", "1"], "labels such as '-1', '1' are taken as names"),
        (["0.5", "1e3", "4", "5"], "such as '0.5', '1e3', '4', ... are"),
    ],
)
def test_numbers_that_are_names_are_told(classes: list[str], says: str) -> None:
    """The number of such a class is another one."""
    (text,) = label_notes([], classes, from_folder=False)
    assert says in text
    assert label_notes([], classes, from_folder=True) == []  # as ImageFolder counts
    assert label_notes([], ["cat", "nan", "inf"], from_folder=False) == []


def test_images_of_one_name_are_told() -> None:
    """ImageFolder would take each for a sample."""
    files = tuple(FolderFile(f"a/IMG.{name}", 1) for name in ("1.jpg", "2.JPG", "3.jpg", "cls"))
    samples = [PackSample("a/IMG", files), sample("b/1")]
    (text,) = label_notes(samples, ["a", "b"], from_folder=True)
    assert text.startswith("1 of 2 samples have several files of one format (a/IMG.1.jpg, a/IMG.2")
    assert "ends at the first dot" in text
    assert label_notes(samples, ["a", "b"], from_folder=False) == []
    masks = PackSample("a/1", (FolderFile("a/1.jpg", 1), FolderFile("a/1.png", 1)))
    assert label_notes([masks], ["a"], from_folder=True) == []


@pytest.mark.parametrize(
    "keys", [["1", "2"], ["a/1", "a/2"], ["a/1", "b/1"], ["a/1", "b/1", "a/2"]]
)
def test_other_orders_are_none(keys: list[str]) -> None:
    """One class, one sample a class, or mixed."""
    assert class_order_warning([sample(key) for key in keys]) == []


def test_classes_of_another_run_are_read(tmp_path: Path) -> None:
    """In the order of their numbers; a label that is none of them is an error."""
    path = tmp_path / "classes.json"
    path.write_text('{"dog": 0, "cat": 1}')
    assert read_classes(path) == ["dog", "cat"]
    (labelled,) = with_label_files([sample("a", "cat")], read_classes(path), "pack")
    assert labelled.members[0] == GeneratedFile("a.cls", b"1")
    with pytest.raises(
        ConfigError, match="sample 'a' is of the class 'cow', which is none of the 2"
    ):
        with_label_files([sample("a", "cow")], ["dog", "cat"], "pack")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"a": 1}', '{"a": 0, "b": 0}', '{"a": "0"}', '{"a": true}', "[" * 100_000],
    ids=lambda text: text[:20],
)
def test_a_file_of_other_contents_has_no_classes(tmp_path: Path, text: str) -> None:
    """Each number once, from 0 on."""
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ConfigError, match="classes.json: "):
        read_classes(tmp_path / "classes.json")
    with pytest.raises(StorageError, match="no.json: No such file"):
        read_classes(tmp_path / "no.json")
