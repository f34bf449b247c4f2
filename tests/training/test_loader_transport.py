"""How the Loader's batches come from workers: whole, in shared memory, of which nothing is left."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio.training.loader import Loader
from aisio.training.workers.batch_reader import KEPT_BATCHES

COUNT = 80
WORKERS = 2
UNDER_WAY = 2 * WORKERS


class Samples:
    """Names, bytes and tensors."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "name": f"sample {index}",
            "data": index.to_bytes(2, "big") * 1500,
            "image": torch.full((3, 40), index, dtype=torch.uint8),
            "label": index,
        }


class Sparse(Samples):
    """Has what torch alone can send."""

    def __getitem__(self, index: int) -> Any:
        return torch.full((2,), index)


def to_sparse(samples: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return what no slot can carry."""
    return [sample.to_sparse() for sample in samples]


def loader(**arguments: Any) -> Loader:
    """Return a shuffling loader."""
    dataset = arguments.pop("dataset", None) or Samples()
    if arguments.setdefault("num_workers", WORKERS):
        arguments.setdefault("multiprocessing_context", "fork")
    return Loader(dataset, 4, **{"shuffle": True, **arguments})


def plain(batch: Any) -> Any:
    """Return a batch as what can be compared."""
    return {
        key: value.tolist() if isinstance(value, torch.Tensor) else list(value)
        for key, value in batch.items()
    }


EXPECTED = [plain(batch) for batch in loader(num_workers=0)]


def mappings() -> int:
    """Return how many mappings of shared memory this process has."""
    return Path("/proc/self/maps").read_text().count("memfd:aisio-batches")


def names() -> list[str]:
    """Return what is in /dev/shm under the name of batches; other programs have files there too."""
    return sorted(path.name for path in Path("/dev/shm").glob("aisio-batches*"))


def descriptors() -> dict[str, str]:
    """Return the files of this process by their descriptors."""
    files = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this folder
            files[path.name] = str(path.readlink())
    return files


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Check that no name, mapping, descriptor or process is left."""
    resource_tracker.ensure_running()  # they stay, with their pipes
    forkserver.ensure_running()
    gc.collect()
    before, opened = names(), descriptors()
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "QueueFeederThread":  # of torch's queues; it closes their pipes
            thread.join()
    assert names() == before
    assert mappings() == 0
    assert multiprocessing.active_children() == []
    assert {number: file for number, file in descriptors().items() if number not in opened} == {}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_batches_come_in_shared_memory(method: str) -> None:
    """However workers are started."""
    of = loader(num_workers=1, multiprocessing_context=method)
    assert [plain(batch) for batch in of] == EXPECTED
    stats = of.stats()
    assert stats["in_shared_memory"] == stats["batches"] == len(EXPECTED)
    assert stats["pickled_without_slot"] == stats["pickled_unsuited"] == 0


def test_without_workers_there_is_no_transport() -> None:
    """Batches are made where they are used."""
    of = loader(num_workers=0)
    assert [plain(batch) for batch in of] == EXPECTED
    assert of.stats()["in_shared_memory"] == 0


def test_memory_is_that_of_the_batches_under_way() -> None:
    """And of those in the hands of the trainer: the one it has, and the one that comes."""
    of = loader(persistent_workers=True)
    for _ in range(3):
        for batch in of:
            assert len(batch) == 4
    assert of._reader._persistent_slabs is not None
    assert sum(used > 0 for used in of._reader._persistent_slabs._slots._used) <= UNDER_WAY + 2


@pytest.mark.parametrize("copy", [False, True])
def test_whoever_keeps_batches_has_them_whole(copy: bool) -> None:
    """Those that have no slot come as pickles, and are counted."""
    of = loader(copy=copy)
    kept = list(of)
    assert [plain(batch) for batch in kept] == EXPECTED
    stats = of.stats()
    assert stats["in_shared_memory"] + stats["pickled_without_slot"] == len(EXPECTED)
    assert (stats["in_shared_memory"] == UNDER_WAY + KEPT_BATCHES) is not copy
    del of
    assert [plain(batch) for batch in kept] == EXPECTED


def test_persistent_workers_keep_their_memory() -> None:
    """For all epochs, also where one is left early; then nothing is lost of it."""
    of = loader(persistent_workers=True)
    assert [plain(batch) for batch in of] == EXPECTED
    slabs = of._reader._persistent_slabs
    assert slabs is not None
    for _ in range(UNDER_WAY + KEPT_BATCHES):
        assert plain(next(iter(of)))
    of.set_epoch(0)
    assert [plain(batch) for batch in of] == EXPECTED
    assert of._reader._persistent_slabs is slabs
    assert of.stats()["pickled_without_slot"] == 0
    assert len(slabs._slots._free) == UNDER_WAY + KEPT_BATCHES


def test_workers_that_are_started_anew_get_new_memory() -> None:
    """Those before may still write to theirs, and what was kept of it stays."""
    of = loader()
    batch = next(iter(of))
    assert mappings() == 1
    of.set_epoch(0)
    batches = iter(of)
    assert plain(next(batches)) == EXPECTED[0]
    assert mappings() == 2
    assert [plain(other) for other in batches] == EXPECTED[1:]
    assert plain(batch) == EXPECTED[0]
    assert mappings() == 1
    del batch
    assert mappings() == 0


@pytest.mark.parametrize("leave", ["break", "error", "nothing"])
def test_nothing_is_left_of_an_iteration_that_is_not_ended(leave: str) -> None:
    """However it is left."""
    of = loader()
    with suppress(ZeroDivisionError):
        for number, batch in enumerate(of):
            assert plain(batch) == EXPECTED[number]
            if leave == "break":
                break
            if leave == "error":
                raise ZeroDivisionError
            of.end_epoch()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_what_only_torch_can_send_is_sent_by_torch() -> None:
    """And counted."""
    of = loader(dataset=Sparse(), collate_fn=to_sparse, persistent_workers=True)
    got = [tensor.to_dense()[0].item() for batch in of for tensor in batch]
    assert sorted(got) == list(range(COUNT))
    assert of.stats()["pickled_unsuited"] == len(of)
    assert of._reader._persistent_slabs is not None
    assert len(of._reader._persistent_slabs._slots._free) == UNDER_WAY + KEPT_BATCHES


class Deadly(Samples):
    """Kills the worker that reads a sample, while a file exists."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 17 and self.file.exists():
            self.file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


# torch's handler of SIGCHLD raises wherever this process is, perhaps in a __del__.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_worker_leaves_nothing(tmp_path: Path) -> None:
    """Batches that were kept from before stay whole; those that come are."""
    file = tmp_path / "deadly"
    file.touch()
    of = loader(dataset=Deadly(file), persistent_workers=True)
    batches = iter(of)
    kept: list[Any] = []
    while len(kept) < len(EXPECTED):
        with suppress(RuntimeError, ConnectionError, EOFError):
            kept.append(next(batches))
    assert not file.exists()
    assert [plain(batch) for batch in kept] == EXPECTED


PARENT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_loader_transport import loader
os.set_inheritable({pipe}, True)
batches = iter(loader(persistent_workers=True))
kept = [next(batches) for _ in range(3)]
print(sum(b"memfd:aisio-batches" in line for line in open("/proc/self/maps", "rb")), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_trainer_leaves_nothing() -> None:
    """Its workers, which have the pipe as well, end; there was never a name."""
    before = names()
    ours, theirs = os.pipe()
    script = PARENT.format(tests=str(Path(__file__).parent), pipe=theirs)
    done = subprocess.run(
        [sys.executable, "-c", script], pass_fds=[theirs], stdout=subprocess.PIPE, check=False
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        assert pipe.read() == b""  # comes when the last process has ended
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) == 1
    assert names() == before
