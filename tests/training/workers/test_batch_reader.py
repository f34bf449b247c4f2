"""BatchReader: one share after the other, and nothing of a share that is no longer wanted."""

from __future__ import annotations

import multiprocessing
import pickle

import pytest
import torch  # noqa: F401 - the loader needs it
from torch.overrides import _get_current_function_mode_stack

from aisio.training.order.cut import Topology
from aisio.training.order.position import Position
from aisio.training.workers.batch_reader import BatchReader, Reading, Share

TOPOLOGY = Topology(ranks=2, workers=1, batch_size=4, window=1, equalize="drop")


def share(received: int = 0, rank: int = 0, epoch: int = 0) -> Share:
    """Return what a rank reads of 40 numbers in their order, which makes five batches."""
    position = Position(40, 0, shuffle=False).at_epoch(epoch).received(TOPOLOGY, received)
    cut, received = position.cut(TOPOLOGY)
    return Share(position, TOPOLOGY, rank, cut, received)


def firsts(reading: Reading) -> list[int]:
    """Return the first number of each batch that comes."""
    return [int(batch[0]) for batch in reading.batches]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_share_is_read_from_what_was_received_on(workers: int) -> None:
    """Of each rank."""
    reader = BatchReader(range(40), {"num_workers": workers})
    assert firsts(reader.open(share())) == [0, 4, 8, 12, 16]
    assert firsts(reader.open(share(3))) == [12, 16]
    assert firsts(reader.open(share(3, rank=1))) == [32, 36]


def test_only_what_is_the_same_is_taken_from_the_prefetched() -> None:
    """Position, topology and rank."""
    reader = BatchReader(range(40), {})
    for other in (share(1), share(rank=1), share(epoch=1)):
        reader.prefetch(share())
        reading = reader.open(other)
        assert (reading.share, reading.received) == (other, other.received)
    reader.prefetch(share())
    ahead = reader._ahead
    assert reader.open(share()) is ahead


@pytest.mark.parametrize(
    ("error", "anew"),
    [
        (RuntimeError("DataLoader worker is killed"), True),
        (ConnectionResetError(), True),
        (EOFError(), True),
        (KeyboardInterrupt(), True),
        (KeyError("sample"), False),
    ],
)
def test_workers_are_made_anew_where_they_may_have_ended(error: BaseException, anew: bool) -> None:
    """An error of the dataset keeps persistent ones."""
    reader = BatchReader(range(40), {})
    before = reader._loader
    reader.recover(error)
    assert (reader._loader is not before) == anew


class Damaged:
    """A dataset none of whose items can be read."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> int:
        raise ValueError("damaged")


def test_workers_have_ended_when_their_error_is_raised() -> None:
    """Also if the program keeps the error: none are there while others are started."""
    before = multiprocessing.active_children()
    reading = BatchReader(Damaged(), {"num_workers": 1}).open(share())
    (worker,) = set(multiprocessing.active_children()) - set(before)
    with pytest.raises(ValueError, match="damaged") as caught:
        next(reading.batches)
    assert worker.exitcode == 0
    assert caught.value.__traceback__ is not None


def test_a_pickled_reader_has_read_nothing() -> None:
    """It is made anew from the same arguments."""
    reader = BatchReader(range(40), {"num_workers": 0})
    reader.prefetch(share())
    copy = pickle.loads(pickle.dumps(reader))
    assert copy._ahead is None
    assert firsts(copy.open(share(4))) == [16]


class Modes:
    """Samples that say how many modes of torch its functions go through."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> int:
        return len(_get_current_function_mode_stack())


def test_a_forked_worker_is_in_no_mode_of_torch() -> None:
    """In one, as that of a default device, every function of torch takes longer."""
    reader = BatchReader(Modes(), {"num_workers": 1, "multiprocessing_context": "fork"})
    assert firsts(reader.open(share())) == [0] * 5
