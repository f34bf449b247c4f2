"""SharedListing: one listing for all processes and epochs; nothing hangs, nothing is left."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio.errors import IntegrityError, NotFoundError
from aisio.records import ObjectInfo
from aisio.sources.kinds import PrefixSource
from aisio.sources.source_set import SourceSet
from aisio.stores import LocalStore
from aisio.training.listing.shared_listing import SharedListing
from aisio.training.object_datasets import AISMapDataset
from aisio.training.object_iter_dataset import AISIterDataset
from aisio.urls import ObjectUrl

COUNT = 200
NAMES = [f"{number:03d}" for number in range(COUNT)]
fork: Any = multiprocessing.get_context("fork")


class Counting(PrefixSource):
    """A folder that notes each listing in a file, in any process.

    Args:
        folder: The folder.
        die_at: Number of the object at which the first listing ends with its process.
    """

    def __init__(self, folder: Path, die_at: int | None = None) -> None:
        super().__init__(LocalStore(), ObjectUrl.parse(f"file://{folder}/"))
        self._note = folder.parent / f"{folder.name}.listings"
        self._note.touch()
        self._die_at = die_at

    @property
    def listings(self) -> int:
        """How often the folder was listed."""
        return len(self._note.read_bytes())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the folder."""
        with self._note.open("ab") as note:
            note.write(b"x")
        is_first = self.listings == 1
        for number, info in enumerate(super().list(prefix)):
            if is_first and number == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with 200 files: three blocks."""
    files = tmp_path / "files"
    files.mkdir()
    for name in NAMES:
        (files / name).write_bytes(name.encode())
    return files


def names(rows: Any) -> list[str]:
    """Return the last parts of the names of rows."""
    return [Path(info.name).name for _, info in rows]


def listing_of(source: PrefixSource) -> SharedListing:
    """Return the listing of one source."""
    return SharedListing(SourceSet(source, owner="test"))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_list_once_in_all_epochs(folder: Path, method: str) -> None:
    """Though the first process that needs the listing is one of them; the parent has it too."""
    source = Counting(folder)
    dataset = AISIterDataset(source)
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=2,
        multiprocessing_context=method,
        persistent_workers=method != "fork",
    )
    for _ in range(2):
        assert sorted(data.decode() for _, data in loader) == NAMES
    assert dataset.count() == COUNT
    assert source.listings == 1


def test_workers_with_sources_of_their_own_list_them_once(folder: Path, tmp_path: Path) -> None:
    """In all epochs, and no two the same."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "one").write_bytes(b"one")
    sources = [Counting(folder), Counting(other)]
    dataset = AISIterDataset(sources, partition_sources_by_worker=True)
    for _ in range(2):
        loader = DataLoader(dataset, batch_size=None, num_workers=2)
        assert sorted(data.decode() for _, data in loader) == [*NAMES, "one"]
    assert [source.listings for source in sources] == [1, 1]


@pytest.mark.parametrize(
    ("cls", "method"),
    [(AISMapDataset, "fork"), (AISMapDataset, "forkserver"), (AISIterDataset, "fork")],
)
def test_workers_have_what_their_parent_has_listed(folder: Path, cls: Any, method: str) -> None:
    """Of any dataset, by any way."""
    source = Counting(folder)
    dataset = cls(source)
    if cls is AISIterDataset:
        assert dataset.count() == COUNT
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=method)
    assert [data.decode() for _, data in loader] == NAMES
    assert source.listings == 1


def test_a_reader_does_not_wait_for_the_end_of_a_long_listing(folder: Path) -> None:
    """Nor does another one."""
    may_go_on = threading.Event()

    class Slow(PrefixSource):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            for number, info in enumerate(super().list(prefix)):
                if number == 150:
                    may_go_on.wait()
                yield info

    listing = listing_of(Slow(LocalStore(), ObjectUrl.parse(f"file://{folder}/")))
    first, second = listing.rows(), listing.rows(start=1, step=2)
    begun = [names([next(first)]), names([next(second)])]
    assert begun == [["000"], ["001"]]
    may_go_on.set()
    assert names(first) == NAMES[1:]
    assert names(second) == NAMES[3::2]


def _read_all(listing: SharedListing) -> None:
    names(listing.rows())


def test_the_next_process_takes_over_from_one_that_is_killed(folder: Path) -> None:
    """It checks what there is, and adds what is missing."""
    source = Counting(folder, die_at=150)
    listing = listing_of(source)
    process = fork.Process(target=_read_all, args=(listing,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    rows = listing.rows()
    assert names([next(rows)]) == ["000"]
    assert source.listings == 1
    assert names(rows) == NAMES[1:]
    assert source.listings == 2


def test_objects_that_change_before_another_takes_over(folder: Path) -> None:
    """What was read of the old ones cannot go on; a new iteration has the new ones."""
    listing = listing_of(Counting(folder, die_at=150))
    process = fork.Process(target=_read_all, args=(listing,))
    process.start()
    process.join()
    rows = listing.rows()
    next(rows)
    (folder / "0005").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="begin the epoch again"):
        names(rows)
    assert names(listing.rows()) == sorted([*NAMES, "0005"])


def test_an_error_comes_behind_the_objects_before_it(folder: Path, tmp_path: Path) -> None:
    """Each time, until there is none."""
    later = tmp_path / "later"
    later.mkdir()
    sources = SourceSet([folder, later], owner="test")
    listing = SharedListing(sources)
    for _ in range(2):
        rows = listing.rows()
        assert names(next(rows) for _ in range(COUNT)) == NAMES
        with pytest.raises(NotFoundError, match="later"):
            next(rows)
    with pytest.raises(NotFoundError, match="later"):
        listing.table()
    (later / "last").write_bytes(b"x")
    assert names(listing.rows()) == [*NAMES, "last"]
    assert names(listing.table()) == [*NAMES, "last"]


def test_a_copy_has_the_listing_if_it_is_complete(folder: Path) -> None:
    """Otherwise it lists for itself."""
    source = Counting(folder)
    listing = listing_of(source)
    before = pickle.loads(pickle.dumps(listing))
    assert names(listing.rows()) == NAMES
    for complete in (pickle.loads(pickle.dumps(listing)), copy.deepcopy(listing)):
        assert names(complete.rows(step=2)) == NAMES[::2]
    assert source.listings == 1
    assert names(before.rows()) == NAMES
    assert names(listing.anew().rows()) == NAMES
    assert source.listings == 3


def test_parts_are_listed_for_themselves(folder: Path, tmp_path: Path) -> None:
    """So no two workers list the same source."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "one").write_bytes(b"x")
    sources = [Counting(folder), Counting(other)]
    listing = SharedListing(SourceSet(sources, owner="test"))
    rows = [*listing.rows(2)]
    assert (names(rows), rows[0][0]) == (["one"], sources[1])
    assert [one.listings for one in sources] == [0, 1]
    assert names(listing.rows(1, start=1, step=3)) == NAMES[1::3]
    assert [one.listings for one in sources] == [1, 1]


def test_nothing_is_left_when_nobody_needs_it(folder: Path) -> None:
    """No thread, and no descriptor, though the listing is not complete."""
    goes_on, has_ended = threading.Event(), threading.Event()

    class Endless(PrefixSource):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            try:
                for number in range(10**9):
                    if number == 200:
                        goes_on.wait()
                    yield ObjectInfo("file://", f"{number}")
            finally:
                has_ended.set()

    gc.collect()
    before = len([*Path("/dev/fd").iterdir()])
    listing = listing_of(Endless(LocalStore(), ObjectUrl.parse(f"file://{folder}/")))
    rows = listing.rows()
    next(rows)
    (thread,) = [one for one in threading.enumerate() if one.name == "aisio-listing"]
    del listing, rows
    gc.collect()
    goes_on.set()
    thread.join()
    gc.collect()
    assert has_ended.is_set()
    assert len([*Path("/dev/fd").iterdir()]) == before


def test_what_is_known_is_not_listed_for_that(folder: Path) -> None:
    """It is known when it is complete."""
    listing = listing_of(PrefixSource(LocalStore(), ObjectUrl.parse(f"file://{folder}/")))
    assert listing.known() is None
    table = listing.table()
    known = listing.known()
    assert known is not None
    assert list(known) == list(table)
