"""ObjectItems: what a transform gets, who calls it, and what is said of its errors."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    ConfigError,
    DataObject,
    Loader,
    NotFoundError,
)
from aisio.training.data_object import READ_WHOLE_BYTES

NAMES = [f"obj{number:02d}" for number in range(20)]


def text_of(one: Any) -> str:
    """Return the text of an object, or what stands for one that is gone; for a transform."""
    return "gone" if one is None else one.read().decode()


def as_they_are(value: Any) -> Any:
    """Return an object, or the items of a batch, whatever they are."""
    return value


@pytest.fixture
def gone(folder: str, tmp_path: Path) -> str:
    """Return the folder, whose objects 3 and 4 go when a dataset has listed it."""

    class Removing(str):
        def remove(self) -> None:
            for number in (3, 4):
                (tmp_path / f"obj{number:02d}").unlink()

    return Removing(folder)


def listed(cls: Any, gone: Any, **options: Any) -> Any:
    """Return a dataset that has listed objects which are gone since."""
    dataset = cls(gone, **options)
    if isinstance(dataset, AISIterDataset):
        dataset.count()
    gone.remove()
    return dataset


def test_the_transform_makes_the_items(folder: str) -> None:
    """By index, in a batch, in an iteration; by default they are (name, bytes)."""
    for dataset in (
        AISMapDataset(folder, transform=text_of),
        AISIterDataset(folder, transform=text_of),
    ):
        assert [*iter(dataset)] == NAMES
    assert AISMapDataset(folder, transform=text_of).__getitems__([5, 0, -1]) == [
        "obj05",
        "obj00",
        "obj19",
    ]


def test_it_is_called_here_in_order_and_once_for_each(folder: str) -> None:
    """Whoever else reads."""
    calls: list[tuple[int, str]] = []

    def note(one: DataObject) -> int:
        calls.append((threading.get_ident(), one.name[-5:]))
        return len(calls)

    expected = [(threading.get_ident(), name) for name in NAMES]
    assert AISMapDataset(folder, transform=note).__getitems__(range(20)) == [*range(1, 21)]
    assert calls == expected
    calls.clear()
    assert list(AISIterDataset(folder, transform=note)) == [*range(1, 21)]
    assert calls == expected


def test_the_bytes_of_batches_are_there(folder: str, tmp_path: Path) -> None:
    """They were read, and verified, at once: nothing is read in the transform."""

    def read_late(one: DataObject) -> bytes:
        (tmp_path / one.name.rpartition("/")[2]).unlink()
        return one.read()

    expected = [name.encode() for name in NAMES]
    assert AISMapDataset(folder, transform=read_late).__getitems__(range(20)) == expected


def test_by_index_a_large_object_is_read_as_far_as_the_transform_reads(tmp_path: Path) -> None:
    """And a small one whole, before."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(READ_WHOLE_BYTES + 1)
    (tmp_path / "small").write_bytes(b"x" * 1000)
    dataset = AISMapDataset(tmp_path, transform=lambda one: len(one.read(10)))
    assert [dataset[0], dataset.stats()["bytes_read"] < 1 << 20] == [10, True]
    before = dataset.stats()["bytes_read"]
    assert [dataset[1], dataset.stats()["bytes_read"] - before] == [10, 1000]


class OwnObject(DataObject):
    """An object with a key of another kind."""

    @property
    def key(self) -> str:
        """The name in capital letters."""
        return self.name.upper()


class OwnMapDataset(AISMapDataset):
    """A dataset of these."""

    DATA_OBJECT = OwnObject


class OwnIterDataset(AISIterDataset):
    """A dataset of these."""

    DATA_OBJECT = OwnObject


def test_a_subclass_says_what_the_transform_gets(folder: str) -> None:
    """By index, in batches and iterations, and in a list of all objects."""
    mapped = OwnMapDataset(folder, transform=as_they_are)
    names = [one.key for one in OwnIterDataset(folder, transform=as_they_are)]
    assert names == [name.upper() for name in mapped.names]
    for objects in (mapped.__getitems__(range(len(mapped))), mapped.get_obj_list()):
        assert [one.key for one in objects] == names
    assert mapped[0].key == names[0]


def test_what_a_transform_returns_may_be_kept(folder: str) -> None:
    """The object itself, too: the next ones do not change it."""
    for dataset in (
        AISMapDataset(folder, transform=as_they_are),
        AISIterDataset(folder, transform=as_they_are),
    ):
        kept = [*iter(dataset)]
        assert [one.read().decode() for one in kept] == NAMES


def test_objects_come_from_workers(folder: str) -> None:
    """With their bytes, and the position where they were left."""
    dataset = AISMapDataset(folder, transform=first_letter_read)
    loader = DataLoader(
        dataset, batch_size=4, num_workers=1, collate_fn=as_they_are, multiprocessing_context="fork"
    )
    assert [one.read().decode() for batch in loader for one in batch] == [
        name[1:] for name in NAMES
    ]


def first_letter_read(one: DataObject) -> DataObject:
    """Return the object, of which one byte was read; for a transform."""
    one.read(1)
    return one


def fail(one: DataObject) -> None:
    """Raise an error for one of the objects; a transform."""
    if one.name.endswith("obj02"):
        raise UnicodeDecodeError("utf-8", b"x", 0, 1, "no reason")


@pytest.mark.parametrize(
    ("cls", "read"),
    [
        (AISMapDataset, lambda dataset: dataset[2]),
        (AISMapDataset, lambda dataset: dataset.__getitems__([1, 2])),
        (AISIterDataset, list),
    ],
)
def test_an_error_of_the_transform_names_the_object(folder: str, cls, read, caplog) -> None:
    """It keeps its type, its text and its attributes."""
    with pytest.raises(UnicodeDecodeError, match="no reason") as caught:
        read(cls(folder, transform=fail))
    told = vars(caught.value)["__notes__"] if sys.version_info >= (3, 11) else caplog.messages
    assert f"<{cls.__name__}> transform= of {folder}obj02 raised this" in told[-1]


def test_an_error_of_the_transform_names_the_object_in_a_worker(folder: str) -> None:
    """A worker sends the traceback as text."""
    loader = DataLoader(AISMapDataset(folder, transform=int), batch_size=None, num_workers=1)
    with pytest.raises(TypeError) as caught:
        list(loader)
    if sys.version_info >= (3, 11):
        assert f"transform= of {folder}obj00 raised this" in str(caught.value)


def test_a_transform_does_not_end_an_epoch(folder: str) -> None:
    """A StopIteration that leaks out of it would."""
    for dataset in (
        AISMapDataset(folder, transform=lambda _: next(iter([]))),
        AISIterDataset(folder, transform=lambda _: next(iter([]))),
    ):
        with pytest.raises(RuntimeError, match="transform= of .*obj00 raised StopIteration"):
            [*iter(dataset)]


@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transform": "upper"}, "transform='upper' cannot be called"),
        ({"on_missing": "ignore"}, 'on_missing=.ignore.: "raise", "none" or "skip" is needed'),
    ],
)
def test_options_that_cannot_be_meant_are_refused(folder: str, cls, options, message: str) -> None:
    """When the dataset is made."""
    with pytest.raises(ConfigError, match=f"<{cls.__name__}> {message}"):
        cls(folder, **options)


def test_objects_that_are_gone_are_an_error_by_default(gone: str) -> None:
    """By index, in a batch, in an iteration."""
    dataset = listed(AISMapDataset, gone)
    for step in (lambda: dataset[3], lambda: dataset.__getitems__([2, 3])):
        with pytest.raises(NotFoundError, match="obj03"):
            step()
    again = AISMapDataset(gone)
    assert len(again) == 18


@pytest.mark.parametrize(("transform", "stands"), [(None, None), (text_of, "gone")])
def test_objects_that_are_gone_are_none(gone: str, transform: Any, stands: Any) -> None:
    """By index, in a batch: a transform gets None."""
    dataset = listed(AISMapDataset, gone, on_missing="none", transform=transform)
    assert [dataset[3], dataset.__getitems__([4, 3])] == [stands, [stands, stands]]
    one, other = dataset.__getitems__([3, 5])
    assert (one, other) == (stands, dataset[5])
    assert dataset.stats()["skipped"] == 0


def test_objects_that_are_gone_are_none_in_an_iteration(gone: str) -> None:
    """At their places."""
    dataset = listed(AISIterDataset, gone, on_missing="none", transform=text_of)
    assert list(dataset) == [*NAMES[:3], "gone", "gone", *NAMES[5:]]


def test_an_error_for_none_says_that_the_object_is_gone(gone: str) -> None:
    """A transform that does not expect None."""
    dataset = listed(AISMapDataset, gone, on_missing="none", transform=lambda one: one.read())
    with pytest.raises(AttributeError) as caught:
        dataset[3]
    if sys.version_info >= (3, 11):
        assert "transform= of None for" in caught.value.__notes__[0]
        assert "obj03, which is gone, raised this" in caught.value.__notes__[0]


def test_a_batch_leaves_out_what_is_gone(gone: str, caplog) -> None:
    """With one line in the log, and counted; one that is asked for alone is an error."""
    dataset = listed(AISMapDataset, gone, on_missing="skip", transform=text_of)
    assert dataset.__getitems__([2, 3, 4, 5]) == ["obj02", "obj05"]
    ((_, level, told),) = caplog.record_tuples
    assert level == logging.WARNING
    assert told.startswith("<AISMapDataset> skipped 2 (gone since they were listed): ")
    assert [dataset.stats()[name] for name in ("items", "skipped")] == [2, 2]
    with pytest.raises(NotFoundError, match="obj03"):
        dataset[3]
    with pytest.raises(NotFoundError, match="all 2 objects of a batch are gone"):
        dataset.__getitems__([3, 4])
    assert dataset.__getitems__([]) == []


def test_an_iteration_leaves_out_what_is_gone(gone: str, caplog) -> None:
    """Counted in stats(), with one line in the log."""
    dataset = listed(AISIterDataset, gone, on_missing="skip", transform=text_of)
    assert list(dataset) == [*NAMES[:3], *NAMES[5:]]
    assert [dataset.stats()[name] for name in ("items", "skipped")] == [18, 2]
    assert len(caplog.messages) == 1
    assert "<AISIterDataset> skipped 2 (gone since they were listed): " in caplog.messages[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_keeps_its_arithmetic(gone: str, workers: int) -> None:
    """A batch has None, or is shorter; all others are exactly as they were."""
    whole = [NAMES[start : start + 4] for start in range(0, 20, 4)]
    skip = AISMapDataset(gone, on_missing="skip", transform=text_of)
    none = listed(AISMapDataset, gone, on_missing="none", transform=text_of)
    batches = {}
    for dataset in (none, skip):
        loader = Loader(dataset, 4, num_workers=workers, collate_fn=as_they_are)
        assert len(loader) == 5
        batches[dataset] = list(loader)
    assert batches[none] == [
        [*whole[0][:3], "gone"],
        ["gone", *whole[1][1:]],
        *whole[2:],
    ]
    assert batches[skip] == [whole[0][:3], whole[1][1:], *whole[2:]]


def test_only_the_object_may_be_gone(folder: str, tmp_path: Path) -> None:
    """A folder that is away is an error, whatever may be missing."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a").write_bytes(b"x")
    dataset = AISMapDataset(f"file://{inner}/", on_missing="none")
    inner.rename(tmp_path / "elsewhere")
    for step in (lambda: dataset[0], lambda: dataset.__getitems__([0])):
        with pytest.raises(NotFoundError):
            step()


def names_and_errors(items: Any) -> list[str]:
    """Return the items that a loop gets which goes on after errors; "!" for an error."""
    got: list[str] = []
    for _ in range(2 * len(NAMES)):
        try:
            got.append(next(items))
        except StopIteration:
            break
        except ValueError:
            got.append("!")
    return got


def refuse_thirds(one: Any) -> str:
    """Return the name of an object, but refuse each third one; a transform."""
    if int(one.key[-2:]) % 3 == 0:
        raise ValueError(one.key)
    return str(one.key[-len("obj00") :])


@pytest.mark.parametrize("num_workers", [None, 0, 2])
@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset])
def test_after_an_error_of_a_transform_the_objects_behind_it_come(
    folder: str, cls: Any, num_workers: int | None
) -> None:
    """A loop that skips errors does not take what a worker has left for read."""
    items: Any = cls(folder, transform=refuse_thirds)
    if num_workers is not None:
        items = DataLoader(items, batch_size=None, num_workers=num_workers)
    expected = [name if number % 3 else "!" for number, name in enumerate(NAMES)]
    assert names_and_errors(iter(items)) == expected
