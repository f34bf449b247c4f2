"""StorageWriter: what is at a URL after a save, and after one that failed."""

from __future__ import annotations

import pickle
import resource
import threading
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner

from aisio.checkpoint import StorageReader, StorageWriter
from aisio.errors import ConfigError, ConflictError, IntegrityError, NotSupportedError
from tests.checkpoint.dcp.states import check, dcp, equal, load, save, state, write, zeros


def names(folder: Path) -> list[str]:
    """Return the names of the files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_saved_is_loaded(tmp_path: Path, threads: int) -> None:
    """By torch's own reader, too."""
    write(tmp_path, 1, thread_count=threads)
    check(tmp_path, 1)
    found = load(zeros(state(1)), dcp.FileSystemReader(tmp_path))
    assert equal(found, state(1))
    assert names(tmp_path)[0] == ".metadata"
    assert len(names(tmp_path)) == 1 + threads


def test_another_save_replaces_the_first(tmp_path: Path) -> None:
    """Its files are gone then; those of torch's writer are, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(state(1), dcp.FileSystemWriter(tmp_path))
    (tmp_path / "notes").write_text("a")
    check(tmp_path, 1)
    for number in (2, 3):
        write(tmp_path, number)
        check(tmp_path, number)
        assert len(names(tmp_path)) == 3
    assert "notes" in names(tmp_path)


def test_a_url_can_be_named_by_each_save(tmp_path: Path) -> None:
    """One writer and one reader serve all checkpoints; both pickle."""
    writer, reader = pickle.loads(pickle.dumps((StorageWriter(), StorageReader())))
    for number in (1, 2):
        save(state(number), writer, checkpoint_id=f"file://{tmp_path}/{number}/")
        assert writer.checkpoint_id == f"file://{tmp_path}/{number}"
    for number in (1, 2):
        found = load(zeros(state(1)), reader, checkpoint_id=tmp_path / str(number))
        assert equal(found, state(number))
    with pytest.raises(CheckpointException, match="StorageWriter has no URL"):
        save(state(1), StorageWriter())
    with pytest.raises(CheckpointException, match="StorageReader has no URL"):
        load(zeros(state(1)), StorageReader())


def test_async_save(tmp_path: Path) -> None:
    """The state may change once it was staged."""
    content = state(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=_store())
        try:
            future: Any = dcp.async_save(content, storage_writer=StorageWriter(tmp_path))
            content["large"].zero_()
            assert isinstance(future, Future)
            future.result()
        finally:
            torch.distributed.destroy_process_group()
    check(tmp_path, 1)


def _store() -> Any:
    distributed: Any = torch.distributed
    return distributed.HashStore()


def test_overwriting_can_be_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    write(tmp_path, 1, overwrite=False)
    before = names(tmp_path)
    with pytest.raises(
        CheckpointException, match="is a checkpoint already, and overwrite is False"
    ) as error:
        write(tmp_path, 2, overwrite=False)
    assert isinstance(cause(error.value), ConflictError)
    assert names(tmp_path) == before


def cause(error: Any) -> BaseException:
    """Return what failed in the one rank."""
    found: BaseException = error.failures[0][0]
    return found


class Failing(DefaultSavePlanner):
    """Fails at one of the items."""

    def resolve_data(self, write_item: Any) -> Any:
        """Return the data of an item."""
        if write_item.index.fqn == "small":
            raise KeyError("no such data")
        return super().resolve_data(write_item)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_save_that_fails_leaves_the_former(tmp_path: Path, threads: int) -> None:
    """In any thread; and nothing of its own."""
    write(tmp_path, 1)
    before = names(tmp_path)
    with pytest.raises(CheckpointException, match="no such data"):
        save(state(2), StorageWriter(tmp_path, thread_count=threads), planner=Failing())
    assert names(tmp_path) == before
    check(tmp_path, 1)


class FailingInOneFile(DefaultSavePlanner):
    """Has no data for the largest item; what is written after that failure is counted.

    Attributes:
        stopped: Set by the writer when a file has failed.
        written: The names of the other items.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()
        self.written: list[str] = []

    def resolve_data(self, write_item: Any) -> Any:
        """Fail, or wait until the other file has failed."""
        if write_item.index.fqn == "0":
            raise RuntimeError("a broken tensor")
        assert self.stopped.wait(60)
        self.written.append(write_item.index.fqn)
        return super().resolve_data(write_item)


def test_a_file_that_fails_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not written to their ends first, which may take minutes; its error is raised."""
    planner = FailingInOneFile()
    monkeypatch.setattr("aisio.checkpoint.dcp.writer.Event", lambda: planner.stopped)
    content = {str(number): torch.zeros(100 - number) for number in range(10)}
    with pytest.raises(CheckpointException, match="a broken tensor"):
        save(content, StorageWriter(tmp_path, thread_count=2), planner=planner)
    assert len(planner.written) <= 1
    assert names(tmp_path) == []


def test_a_full_disk_leaves_the_former(tmp_path: Path) -> None:
    """And nothing else."""
    write(tmp_path, 1)
    before, limits = names(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointException, match="File too large"):
            write(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == before
    check(tmp_path, 1)


class Moving(DefaultSavePlanner):
    """Has the writer begin another checkpoint in the middle of a save."""

    writer: StorageWriter
    url: str

    def resolve_data(self, write_item: Any) -> Any:
        """Return the data of an item."""
        self.writer.reset(self.url)
        return super().resolve_data(write_item)


def test_files_of_different_checkpoints_are_not_mixed(tmp_path: Path) -> None:
    """Where ranks compute the URL each by itself, or one writer is used twice at a time."""
    writer, planner = StorageWriter(tmp_path / "a"), Moving()
    planner.writer, planner.url = writer, f"file://{tmp_path}/b"
    with pytest.raises(CheckpointException, match="all ranks need one URL") as error:
        save(state(1), writer, planner=planner)
    assert isinstance(cause(error.value), IntegrityError)
    assert not (tmp_path / "b").exists()


def test_damaged_metadata_of_the_former_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its files stay, and the log says so."""
    write(tmp_path, 1)
    (tmp_path / ".metadata").write_bytes(b"damaged")
    write(tmp_path, 2)
    check(tmp_path, 2)
    assert len(names(tmp_path)) == 3
    assert "the files of the checkpoint that was there remain" in caplog.text


def test_settings_are_checked() -> None:
    """When they are given."""
    for wrong in (
        {"part_bytes": 0},
        {"concurrency": 0},
        {"thread_count": 0},
        {"thread_count": "2"},
    ):
        with pytest.raises(ConfigError, match="expected a whole number of at least 1"):
            StorageWriter("ais://b/a", endpoint="http://host", **wrong)
    with pytest.raises(NotSupportedError, match="use_collectives=False"):
        StorageWriter().set_up_storage_writer(True, rank=0, use_collectives=False)
