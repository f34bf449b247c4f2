"""SharedEpoch: one number for the process of a dataset and its workers."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - as its package needs it

from aisio.errors import ConfigError
from aisio.training.shared_epoch import SharedEpoch


def answer(epoch: SharedEpoch, pipe: Any) -> None:
    """Send the epoch whenever one asks for it."""
    while pipe.recv():
        pipe.send(epoch.get())


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_running_process_sees_a_new_epoch(method: str) -> None:
    """Whatever it was started by."""
    epoch = SharedEpoch(3)
    context: Any = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(epoch, there))
    process.start()
    seen = []
    for number in (3, 1 << 40):
        epoch.set(number)
        here.send(True)
        seen.append(here.recv())
    here.send(False)
    process.join()
    assert seen == [3, 1 << 40]


def set_own(epoch: SharedEpoch, pipe: Any) -> None:
    """Be a rank that goes on to another epoch."""
    epoch.set(7)
    pipe.send(epoch.get())


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_process_that_sets_it_has_its_own(method: str) -> None:
    """Ranks that one process has started do not change the epochs of each other."""
    epoch = SharedEpoch(3)
    context: Any = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=set_own, args=(epoch, there))
    process.start()
    assert here.recv() == 7
    process.join()
    assert epoch.get() == 3


def test_other_copies_have_a_number_of_their_own() -> None:
    """As a dataset that was copied has its own epochs."""
    epoch = SharedEpoch(5)
    copies = [copy.deepcopy(epoch), pickle.loads(pickle.dumps(epoch))]
    epoch.set(6)
    assert [one.get() for one in copies] == [5, 5]


@pytest.mark.parametrize("epoch", [-1, 1.5, "1", None])
def test_what_is_no_epoch(epoch: Any) -> None:
    """A ConfigError; the number stays."""
    shared = SharedEpoch(2)
    with pytest.raises(ConfigError, match="epoch"):
        shared.set(epoch)
    assert shared.get() == 2


def test_no_descriptor_is_left() -> None:
    """The file goes with the object."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        SharedEpoch()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
