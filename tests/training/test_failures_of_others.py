"""What went wrong in the loaders of others, by public reports: here each sample comes once.

A loader under test is made by one of FACTORIES, so that each kind of reading passes all of this. By
packs, the order is that of as many workers.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from aisio.errors import ConfigError
from aisio.training.loader import Loader
from tests.training.packs import ShardsOfNumbers

SAMPLES = 200
BATCH = 4
BATCHES = SAMPLES // BATCH

MakeLoader = Callable[..., Loader]


def of_numbers(samples: int = SAMPLES, batch_size: int = BATCH, **arguments: Any) -> Loader:
    """Return a loader of a dataset that has numbers as samples."""
    defaults = {"shuffle": True, "seed": 11, "equalize": "none", "ranks": (0, 1)}
    return Loader(range(samples), batch_size, **{**defaults, **arguments})


FACTORIES: dict[str, Callable[[Path], MakeLoader]] = {
    "by index": lambda _: of_numbers,
    "by packs": ShardsOfNumbers,
}


@pytest.fixture(params=FACTORIES, scope="module")
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeLoader:
    """Return a function that makes loaders."""
    return FACTORIES[request.param](tmp_path_factory.mktemp("shards"))


def received(batches: Any, count: int | None = None) -> list[int]:
    """Return the samples of so many batches, or of all."""
    return [sample for batch in islice(batches, count) for sample in batch.tolist()]


def stopped(loader: Loader, count: int) -> tuple[list[int], Any]:
    """Return the samples of so many batches, and the state, while the iteration is open."""
    batches = iter(loader)
    return received(batches, count), json.loads(json.dumps(loader.state_dict()))


def resumed(loader: Loader, state: Any) -> Loader:
    """Return a loader that goes on from a state."""
    loader.load_state_dict(state)
    return loader


def epochs(make: MakeLoader, count: int, **arguments: Any) -> list[list[int]]:
    """Return the epochs of a loader that is never stopped."""
    loader = make(**arguments)
    return [received(loader) for _ in range(count)]


@pytest.mark.parametrize("stop", [5, 20, 37, 51, 64])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_shuffle_buffer_is_lost_at_a_stop(make: MakeLoader, stop: int, workers: int) -> None:
    """There, what had been read and not given was gone."""
    first, state = stopped(make(batch_size=1, num_workers=workers), stop)
    rest = received(resumed(make(batch_size=1, num_workers=workers), state))
    assert [first + rest] == epochs(make, 1, batch_size=1, num_workers=workers)
    assert sorted(first + rest) == list(range(SAMPLES))


def test_later_epochs_have_only_the_leftover_of_the_resumed_one(make: MakeLoader) -> None:
    """There, the place to start from was kept for all epochs behind."""
    _, state = stopped(make(), 40)
    loader = resumed(make(), state)
    assert len(received(loader)) == SAMPLES - 40 * BATCH
    assert [received(loader) for _ in range(3)] == epochs(make, 4)[1:]


@pytest.mark.parametrize("stop", [1, BATCHES - 1, BATCHES])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stop_in_the_first_or_last_batch_or_behind_it(
    make: MakeLoader, stop: int, workers: int
) -> None:
    """There, the last batch came twice, or the state behind it began the epoch again."""
    first, state = stopped(make(num_workers=workers), stop)
    loader = resumed(make(num_workers=workers), state)
    whole, following = epochs(make, 2, num_workers=workers)
    assert first + received(loader) == whole
    assert received(loader) == following


def test_a_checkpoint_at_the_border_of_an_epoch_skips_one(make: MakeLoader) -> None:
    """There, the finished epoch was counted when it ended and when it was loaded."""
    loader = make()
    received(loader)
    again = resumed(make(), json.loads(json.dumps(loader.state_dict())))
    assert again.epoch == 1
    assert received(again) == epochs(make, 2)[1]


def test_an_epoch_too_many_after_two_resumes(make: MakeLoader) -> None:
    """There, a job of three epochs had four."""
    loader, got = make(), list[int]()
    for count in (BATCHES + 7, BATCHES):
        while count > 0:
            samples, state = stopped(loader, min(count, len(loader)))
            got += samples
            count -= len(samples) // BATCH
            loader = resumed(make(), state)
    while loader.epoch < 3:
        got += received(loader)
    assert got == [sample for epoch in epochs(make, 3) for sample in epoch]


def test_the_state_of_rank_0_is_given_to_all_ranks(make: MakeLoader) -> None:
    """There, all ranks went on with the samples of rank 0."""
    stops = [stopped(make(ranks=(rank, 4)), 5) for rank in range(4)]
    state = stops[0][1]
    got = [sample for first, _ in stops for sample in first]
    for rank in range(4):
        got += received(resumed(make(ranks=(rank, 4)), state))
    assert sorted(got) == list(range(SAMPLES))


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 1), (2, 4)])
def test_data_parallel_ranks_change(make: MakeLoader, before: int, after: int) -> None:
    """There, it was refused, or samples came twice and not at all without a word."""
    stops = [stopped(make(ranks=(rank, before)), 5) for rank in range(before)]
    got = [sample for first, _ in stops for sample in first]
    for rank in range(after):
        got += received(resumed(make(ranks=(rank, after)), stops[0][1]))
    assert sorted(got) == list(range(SAMPLES))


def test_two_workers_and_one_batch_taken(make: MakeLoader) -> None:
    """There, the state counted what workers had read ahead."""
    first, state = stopped(make(num_workers=2, prefetch_factor=4), 1)
    assert len(first) == BATCH
    rest = received(resumed(make(num_workers=2, prefetch_factor=4), state))
    assert [first + rest] == epochs(make, 1, num_workers=2)


def test_30_batches_a_resume_and_10_more_are_40(make: MakeLoader) -> None:
    """There, the second state counted from the resume."""
    first, state = stopped(make(), 30)
    second, state = stopped(resumed(make(), state), 10)
    third = received(resumed(make(), state))
    assert (len(first), len(second), len(third)) == (30 * BATCH, 10 * BATCH, 10 * BATCH)
    assert [first + second + third] == epochs(make, 1)


def test_a_save_right_after_a_restore(make: MakeLoader) -> None:
    """There, it was empty, or the beginning, until a batch was read."""
    first, state = stopped(make(), 7)
    loader = resumed(make(), state)
    assert loader.state_dict() == state
    iter(loader)
    assert loader.state_dict() == state
    assert [first + received(resumed(make(), loader.state_dict()))] == epochs(make, 1)


def test_the_order_of_epoch_0_after_a_resume(make: MakeLoader) -> None:
    """There, the sampler did not know which epoch it went on in."""
    loader = make()
    received(loader)
    received(loader)
    first, state = stopped(loader, 6)
    assert first + received(resumed(make(), state)) == epochs(make, 3)[2]


@pytest.mark.parametrize("is_resumed", [False, True])
def test_persistent_workers_keep_epoch_0(make: MakeLoader, is_resumed: bool) -> None:
    """There, a new epoch or state did not reach workers that lived on."""
    loader = make(num_workers=2, persistent_workers=True)
    whole = epochs(make, 3, num_workers=2)
    assert received(loader) == whole[0]
    if is_resumed:
        _, state = stopped(make(num_workers=2), 9)
        assert received(resumed(loader, state)) == whole[0][9 * BATCH :]
    assert [received(loader), received(loader)] == whole[1:]


def test_something_looked_at_the_length_first(make: MakeLoader) -> None:
    """There, a progress bar began an iteration, and the state was lost."""
    first, state = stopped(make(), 7)
    loader = make()
    assert len(loader) == BATCHES
    loader.load_state_dict(state)
    assert len(loader) == BATCHES
    assert [first + received(loader)] == epochs(make, 1)


def test_the_order_is_of_the_global_random_state(make: MakeLoader) -> None:
    """There, a model that drew another number changed what was resumed."""
    first, state = stopped(make(), 7)
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)
    before = _global_random_states()
    assert [first + received(resumed(make(), state))] == epochs(make, 1)
    assert _global_random_states() == before


def _global_random_states() -> bytes:
    return pickle.dumps((torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()))


@pytest.mark.parametrize("taken", [0, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_loaded_after_iter_is_ignored(make: MakeLoader, taken: int, workers: int) -> None:
    """There, the iteration went on where it was."""
    first, state = stopped(make(num_workers=workers), 7)
    loader = make(num_workers=workers)
    batches = iter(loader)
    received(batches, taken)
    loader.load_state_dict(state)
    whole, following = epochs(make, 2, num_workers=workers)
    assert first + received(batches) == whole
    assert received(loader) == following


@pytest.mark.parametrize("workers", [0, 2])
def test_an_early_break(make: MakeLoader, workers: int) -> None:
    """There, the next epoch was the rest of the one that was left, or a state hung in it."""
    loader = make(num_workers=workers, persistent_workers=workers > 0)
    for _ in islice(loader, 3):
        pass
    state = loader.state_dict()
    whole, following = epochs(make, 2, num_workers=workers)
    assert received(loader) == following
    assert received(resumed(make(num_workers=workers), state)) == whole[3 * BATCH :]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
def test_workers_2_then_0_then_3(make: MakeLoader) -> None:
    """There, a state fitted as many workers alone."""
    got, state = stopped(make(num_workers=2), 11)
    more, state = stopped(resumed(make(num_workers=0), state), 13)
    got += more + received(resumed(make(num_workers=3), state))
    assert sorted(got) == list(range(SAMPLES))


@pytest.mark.parametrize("equalize", ["drop", "pad", "none"])
def test_an_epoch_ends_with_fewer_samples_than_ranks(make: MakeLoader, equalize: str) -> None:
    """There, with fewer shards than ranks, ranks hung or had no batch."""
    loaders = [make(7, 1, ranks=(rank, 5), equalize=equalize) for rank in range(5)]
    for _ in range(2):
        shares = [received(loader) for loader in loaders]
        counts = {"drop": [1] * 5, "pad": [2] * 5, "none": [2, 2, 1, 1, 1]}[equalize]
        assert [len(share) for share in shares] == counts
        assert equalize == "drop" or set().union(*shares) == set(range(7))


def _rank(make: MakeLoader, rank: int, file: Path, answers: Connection) -> None:
    early = make(ranks="auto")
    early_length = len(early)
    distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    answer: dict[str, Any] = {"lengths": (early_length, len(early)), "samples": received(early)}
    _, state = stopped(make(ranks=(rank, 2)), 9 - rank)
    recovered = resumed(make(ranks="auto"), state)
    try:
        next(iter(recovered))
    except ConfigError as error:
        answer["error"] = str(error)
    answers.send(answer)
    distributed.destroy_process_group()


@pytest.fixture
def answers_of_ranks(make: MakeLoader, tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """Return what two ranks of a process group found."""
    make()  # writes the shards, which both ranks would write
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for rank in range(2):
        mine, theirs = context.Pipe(duplex=False)
        arguments = (make, rank, tmp_path / "group", theirs)
        # Daemons: where one fails, the other waits in vain for the process group.
        processes.append(context.Process(target=_rank, args=arguments, daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    yield [pipe.recv() for pipe in pipes]
    for process, pipe in zip(processes, pipes, strict=True):
        process.join()
        pipe.close()


def test_a_dataset_is_built_before_the_process_group(
    answers_of_ranks: list[dict[str, Any]],
) -> None:
    """There, each rank read everything."""
    got = [sample for answer in answers_of_ranks for sample in answer["samples"]]
    assert sorted(got) == list(range(SAMPLES))
    assert {answer["lengths"] for answer in answers_of_ranks} == {(BATCHES, BATCHES // 2)}


def test_a_recovered_rank_is_one_batch_behind(answers_of_ranks: list[dict[str, Any]]) -> None:
    """There, it stayed so without a word; all ranks say which rank stands where."""
    message = "epoch 0 and 9 batches on ranks 0; epoch 0 and 8 batches on ranks 1"
    assert all(message in answer["error"] for answer in answers_of_ranks)
