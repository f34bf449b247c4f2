"""Loader: each sample once, on any ranks and workers, whenever it was stopped."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.utils.data import Dataset, IterableDataset

from aisio import publishing
from aisio.errors import ConfigError
from aisio.summary import StatsTable
from aisio.testing.exact_resume import assert_exact_resume
from aisio.training.loader import Loader
from aisio.training.order.cut import Cut
from tests.training.number_batches import epoch, flat, saved, take

COUNT = 103


class Numbers(Dataset[int]):
    """The numbers below a count."""

    def __init__(self, count: int = COUNT) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index


def loader(batch_size: int = 8, **arguments: Any) -> Loader:
    """Return a shuffling loader of numbers."""
    count = arguments.pop("count", COUNT)
    return Loader(Numbers(count), batch_size, **{"shuffle": True, "seed": 3, **arguments})


WHOLE = epoch(loader())
NEXT = (lambda of: (epoch(of), epoch(of))[1])(loader())


def test_an_epoch_has_each_sample_once() -> None:
    """But for the fewer than ranks * batch_size that "drop" leaves out."""
    assert len(WHOLE) == COUNT // 8
    assert len(set(flat(WHOLE))) == len(flat(WHOLE))


def test_epochs_differ_and_are_whole() -> None:
    """The loader counts them by itself."""
    of = loader()
    assert [epoch(of), epoch(of), of.epoch] == [WHOLE, NEXT, 2]
    assert WHOLE != NEXT


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_make_no_difference(workers: int, persistent: bool) -> None:
    """Persistent workers do not keep the first epoch's order."""
    of = loader(num_workers=workers, persistent_workers=persistent and workers > 0)
    assert [epoch(of), epoch(of)] == [WHOLE, NEXT]


@pytest.mark.parametrize("stop", range(len(WHOLE) + 1))
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stop_anywhere_is_gone_on_from(stop: int, workers: int) -> None:
    """In the first batch, in the last, and behind it; later epochs are those of an unbroken run."""
    first = loader(num_workers=workers)
    assert take(first, stop) == WHOLE[:stop]
    again = loader(num_workers=workers)
    again.load_state_dict(saved(first))
    assert again.epoch == 0
    assert [epoch(again), epoch(again)] == [WHOLE[stop:], NEXT]
    assert again.epoch == 2


def test_a_stop_at_the_border_of_epochs_skips_none() -> None:
    """A state from behind the end of an epoch is the beginning of the next."""
    first = loader()
    epoch(first)
    again = loader()
    again.load_state_dict(saved(first))
    assert (again.epoch, epoch(again)) == (1, NEXT)


def test_two_resumes_bring_no_epoch_too_many() -> None:
    """A program that counts epochs itself ends at the same one."""
    seen: list[list[int]] = []
    of = loader()
    for number in range(3):
        for count, batch in enumerate(of):
            seen.append(batch.tolist())
            if (number, count) in ((0, 11), (1, 4)):  # the last batch of an epoch, and the middle
                state = saved(of)
                of = loader()
                of.load_state_dict(state)
                break
        seen += epoch(of) if of.epoch == number else []
    assert len(seen) == 3 * len(WHOLE)
    assert of.epoch == 3


def test_saving_again_counts_on() -> None:
    """30 batches, a resume, 10 more: the state says 40."""
    first = loader(batch_size=2)
    take(first, 30)
    again = loader(batch_size=2)
    again.load_state_dict(saved(first))
    take(again, 10)
    assert saved(again)["segments"][0][-1] == 40


def test_a_state_is_saved_as_it_was_loaded() -> None:
    """Right after restoring it, before a batch was read."""
    first = loader()
    take(first, 5)
    again = loader()
    again.load_state_dict(saved(first))
    assert saved(again) == saved(first)


def test_what_is_prefetched_was_not_received() -> None:
    """Two workers have read ahead; one batch was taken."""
    first = loader(num_workers=2, prefetch_factor=4)
    take(first, 1)
    again = loader(num_workers=2)
    again.load_state_dict(saved(first))
    assert epoch(again) == WHOLE[1:]


@pytest.mark.parametrize(
    ("before", "after"), [((1, 8), (2, 4)), ((4, 2), (2, 3)), ((2, 5), (1, 7)), ((3, 4), (5, 1))]
)
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_ranks_and_batches_may_change(
    before: tuple[int, int], after: tuple[int, int], stop: int
) -> None:
    """With the state of any rank, since all are the same."""
    ranks, batch_size = before
    old = [loader(batch_size, ranks=(rank, ranks)) for rank in range(ranks)]
    got = [sample for one in old for sample in flat(take(one, stop))]
    assert all(saved(one) == saved(old[0]) for one in old)
    ranks, batch_size = after
    for rank in range(ranks):
        new = loader(batch_size, ranks=(rank, ranks))
        new.load_state_dict(saved(old[0]))
        got += flat(epoch(new))
    assert len(set(got)) == len(got) > COUNT - ranks * batch_size


@pytest.mark.parametrize("equalize", ["drop", "pad", "none"])
@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_ranks_share_an_epoch(equalize: Any, ranks: int) -> None:
    """Each gets as many full batches, except where none equalizes."""
    shares = [epoch(loader(4, ranks=(rank, ranks), equalize=equalize)) for rank in range(ranks)]
    got = [sample for share in shares for sample in flat(share)]
    if equalize != "none":
        assert {len(batch) for share in shares for batch in share} == {4}
        assert len({len(share) for share in shares}) == 1
    assert (set(got) == set(range(COUNT))) == (equalize != "drop" or COUNT % (4 * ranks) == 0)
    assert (len(set(got)) == len(got)) == (equalize != "pad")


@pytest.mark.parametrize("ranks", [(0, 2), (1, 2)])
def test_the_length_is_what_comes(ranks: tuple[int, int]) -> None:
    """Asking for it changes nothing, also before a state is loaded or an epoch begins."""
    of = loader(ranks=ranks)
    assert len(of) == COUNT // 16 == len(epoch(of))
    assert len(of) == len(epoch(of))
    again = loader(ranks=ranks)
    assert len(again) == COUNT // 16
    again.load_state_dict(saved(of))
    assert again.epoch == 2


def test_the_length_after_a_restart_on_others_is_of_the_whole_epoch() -> None:
    """A trainer that counts on, as Lightning does, stops where the epoch ends."""
    first = loader(4, ranks=(0, 2))
    take(first, 5)
    again = loader(8)
    again.load_state_dict(saved(first))
    left = (COUNT - 2 * 5 * 4) // 8
    assert len(again) == 5 + left
    with pytest.raises(IndexError, match="batch 4 was received before a restart"):
        again.samples_of(4)
    for number in (-1, len(again)):
        with pytest.raises(IndexError, match=f"batch {number} of rank 0, which has {5 + left}"):
            again.samples_of(number)
    expected = [again.samples_of(number) for number in range(5, len(again))]
    assert epoch(again) == expected
    assert len(again) == COUNT // 8


def test_fewer_samples_than_ranks() -> None:
    """To drop them all is an error, which says so; to pad gives each rank a batch."""
    with pytest.raises(ConfigError, match="3 samples make no batch of 1 for each of 5 ranks"):
        epoch(loader(1, count=3, ranks=(0, 5)))
    got = [epoch(loader(1, count=3, ranks=(rank, 5), equalize="pad")) for rank in range(5)]
    assert {sample for share in got for sample in flat(share)} == {0, 1, 2}
    assert [len(share) for share in got] == [1] * 5


@pytest.mark.parametrize(("batch_size", "workers"), [(4, 0), (10, 2)])
def test_shrunk_batches(batch_size: int, workers: int) -> None:
    """Ranks have as many batches, and each sample comes once."""
    options: dict[str, Any] = {"equalize": "shrink", "num_workers": workers}
    shares = [epoch(loader(batch_size, ranks=(rank, 5), **options)) for rank in range(5)]
    assert {len(share) for share in shares} == {-(-21 // batch_size)}
    sizes = {len(batch) for share in shares for batch in share}
    assert (max(sizes) <= batch_size, max(sizes) - min(sizes) <= 1) == (True, True)
    assert sorted(sample for share in shares for sample in flat(share)) == list(range(COUNT))


@pytest.mark.parametrize(("batch_size", "count", "ranks"), [(1, 9, 2), (4, 3, 5)])
def test_batches_that_cannot_shrink(batch_size: int, count: int, ranks: int) -> None:
    """A rank that had a batch less would keep the others waiting."""
    of = loader(batch_size, count=count, ranks=(0, ranks), equalize="shrink")
    with pytest.raises(ConfigError, match=rf"{count} samples make no batches .* {ranks} ranks"):
        next(iter(of))


def test_what_is_left_of_an_epoch_may_not_shrink_either() -> None:
    """Three samples for four ranks: one of them would end before the others."""
    options: dict[str, Any] = {"count": 9, "equalize": "shrink"}
    stopped = loader(2, ranks=(0, 3), **options)
    next(iter(stopped))
    three, four = (loader(7, ranks=(0, ranks), **options) for ranks in (3, 4))
    for resumed in (three, four):
        resumed.load_state_dict(stopped.state_dict())
    assert len(flat(epoch(three))) == 1
    with pytest.raises(ConfigError, match="3 samples that are left of the epoch make no batches"):
        next(iter(four))


def test_the_order_is_not_from_the_global_random_state() -> None:
    """Nor does reading change that."""
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        before = torch.get_rng_state()
        assert epoch(loader(num_workers=2)) == WHOLE
        assert torch.equal(before, torch.get_rng_state())


class Seeds(Numbers):
    """What workers are seeded with."""

    def __getitem__(self, index: int) -> int:
        return int(torch.initial_seed() % 1_000_000)


class Scalars:
    """Samples that are made into tensors by torch's collating, and empty ones."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor]:
        return index, torch.empty(0, device="cpu")


def test_the_default_device_of_torch_may_be_another() -> None:
    """Workers make batches for the processor, as they cannot use an accelerator of the trainer."""
    torch.set_default_device("meta")
    try:
        batches = list(Loader(Scalars(), 4, num_workers=1, multiprocessing_context="fork"))
        (here,) = Loader(Scalars(), 8)
    finally:
        torch.set_default_device(None)
    assert [numbers.tolist() for numbers, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert {empty.device.type for _, empty in batches} == {"cpu"}
    assert here[0].device.type == "meta"


def test_workers_are_seeded_anew_in_each_epoch_and_the_same_in_each_run() -> None:
    """So random augmentations differ by epoch and rank, and can be repeated."""

    def seeds(rank: int) -> list[set[int]]:
        of = Loader(Seeds(), 8, seed=3, num_workers=2, ranks=(rank, 2))
        return [set(flat(epoch(of))), set(flat(epoch(of)))]

    assert seeds(0) == seeds(0)
    assert len({seed for rank in range(2) for found in seeds(rank) for seed in found}) == 8


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_state_loaded_after_iter_is_used(workers: int, taken: int) -> None:
    """The iteration goes on from the state, whatever workers have read ahead."""
    first = loader()
    take(first, 5)
    of = loader(num_workers=workers)
    batches = iter(of)
    for _ in range(taken):
        next(batches)
    of.load_state_dict(saved(first))
    assert epoch(batches) == WHOLE[5:]
    assert [epoch(of), of.epoch] == [NEXT, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_early_break_ends_the_epoch(workers: int) -> None:
    """As with torch's loader and `set_epoch`; until the next begins the state is the stop's."""
    of = loader(num_workers=workers, persistent_workers=workers > 0)
    for _ in of:
        break
    assert saved(of)["segments"][0][-1] == 1
    assert [epoch(of), of.epoch] == [NEXT, 2]


def test_an_iteration_that_nobody_has_ends_its_workers() -> None:
    """At once, not when the garbage collector comes by."""
    gc.collect()
    gc.disable()
    try:
        of = loader(num_workers=2)
        batches = iter(of)
        next(batches)
        assert len(multiprocessing.active_children()) == 2
        del batches
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_an_iteration_that_was_left_gives_nothing_more() -> None:
    """Two at once would share one position."""
    of = loader()
    old = iter(of)
    next(old)
    new = iter(of)
    with pytest.raises(RuntimeError, match="another iteration"):
        next(old)
    assert epoch(new) == NEXT
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(new)


def test_set_epoch() -> None:
    """Goes to the beginning of another; said of the present one it changes nothing."""
    first = loader()
    take(first, 5)
    of = loader()
    of.load_state_dict(saved(first))
    of.set_epoch(0)
    assert epoch(of) == WHOLE[5:]
    of.set_epoch(0)
    assert epoch(of) == WHOLE


def test_start_prefetch_reads_what_comes() -> None:
    """And nothing else, also where a state is loaded afterwards."""
    of = loader(num_workers=2)
    of.start_prefetch()
    of.start_prefetch()
    assert epoch(of) == WHOLE
    first = loader()
    take(first, 5)
    of = loader(num_workers=2)
    of.start_prefetch()
    of.load_state_dict(saved(first))
    assert epoch(of) == WHOLE[5:]


def test_samples_of_a_batch_are_arithmetic() -> None:
    """Nothing is read for it."""
    of = loader()
    assert [of.samples_of(number) for number in range(len(of))] == WHOLE
    with pytest.raises(IndexError, match="batch 12 of rank 0, which has 12"):
        of.samples_of(12)


def test_stats_count_what_was_received() -> None:
    """Over all epochs."""
    of = loader()
    assert of.stats()["batches"] == 0
    epoch(of)
    take(of, 2)
    found = of.stats()
    assert found["batches"] == 14
    assert 0 <= found["wait_p50_s"] <= found["wait_p95_s"] <= found["wait_p99_s"] <= found["wait_s"]


def test_stats_do_not_grow_with_the_run() -> None:
    """Percentiles are of the last 10,000 batches, totals of all."""
    of = loader(1, count=11_000)
    epoch(of)
    assert of.stats()["batches"] == 11_000
    assert len(pickle.dumps(of)) < 200_000


def test_a_state_of_other_data_is_refused() -> None:
    """By the number of samples, and by what the dataset says of itself."""
    state = saved(loader())
    with pytest.raises(ConfigError, match="of other data: it has samples=103"):
        loader(count=104).load_state_dict(state)
    named = Numbers()
    named.data_digest = "sha256:2"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="of other data: it has data=''"):
        Loader(named, 8).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pack": 2}, "of another loader: it has pack=2"),
        ({"segments": [[1, 2, 8, 1, "drop", 1]]}, "of another loader: .* by 2 workers in windows"),
        ({"segments": [[1, 1, 8, 5, "drop", 1]]}, "of another loader: .* in windows of 5"),
        ({"segments": ()}, "no list"),
        ({"version": True}, "the state's version=True"),
    ],
)
def test_a_state_of_another_loader_is_refused(change: dict[str, Any], message: str) -> None:
    """This one shuffles sample by sample, and shares out by ranks alone."""
    with pytest.raises(ConfigError, match=message):
        loader().load_state_dict({**loader().state_dict(), **change})


def test_a_digest_must_be_text() -> None:
    """It is read before the first batch, not at the first checkpoint."""
    named = Numbers()
    named.data_digest = b"sha256:2"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="Numbers.data_digest is a bytes: a str is needed"):
        next(iter(Loader(named, 8)))


def test_a_dataset_that_has_changed_its_length_is_refused() -> None:
    """The order would name samples that are not there, or leave others out."""
    numbers = Numbers()
    of = Loader(numbers, 8)
    numbers.count = 104
    with pytest.raises(ConfigError, match="Numbers has 104 samples now, and had 103 when"):
        next(iter(of))


class Stream(IterableDataset[int]):
    """Samples without numbers."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(COUNT))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Loader(Stream(), 8), "Loader reads map-style datasets.*Stream is none"),
        (lambda: Loader("ais://b/train/", 8), "AISMapDataset, and str is none: make one of the U"),
        (lambda: Loader(iter([1]), 8), "Loader reads map-style datasets"),
        (lambda: Loader(Numbers(0), 8), "Numbers has no sample"),
        (lambda: loader(0), "batch_size=0"),
        (lambda: loader(seed=-1), "seed=-1"),
        (lambda: loader(equalize="wrap"), "equalize='wrap'"),
        (
            lambda: loader(drop_last=True, sampler=[1]),
            "decides on drop_last, sampler itself: .* equalize=",
        ),
        (lambda: loader(seed=True), "seed=True is not a whole number"),
        (lambda: loader(seed=1.0), "seed=1.0 is not a whole number"),
        (lambda: Loader(Numbers(), None), "batch_size=None is not a"),  # type: ignore[arg-type]
        (lambda: loader(in_order=False), "decides on in_order itself"),
        (lambda: loader().set_epoch(-1), "epoch=-1 is not a whole number of at least 0"),
        (lambda: loader().set_epoch(True), "epoch=True is not a whole number"),
        (lambda: loader().set_epoch(1.5), "epoch=1.5 is not a whole number"),  # type: ignore[arg-type]
        (lambda: loader(ranks=(2, 2)), r"ranks=\(2, 2\)"),
        (lambda: loader(ranks=(0, 2, 3)), r"ranks=\(0, 2, 3\)"),
        (lambda: loader(ranks=(0.0, 2)), "rank=0.0 is not a whole number"),
        (lambda: loader(ranks="automatic"), "ranks='automatic': 'auto'"),
        (lambda: loader(ranks=7), "ranks=7: 'auto'"),
        (lambda: loader().replay(0), "steps=0 is not a whole number of at least 1"),
        (lambda: loader().replay(1, 0), "batches=0 is not a whole number of at least 1"),
        (lambda: loader(skip=["n1"]), "skip has names, and Numbers has no attribute `names`"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_ranks_of_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked up when an iteration begins, not when the loader is made."""
    of = loader()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert epoch(of) == epoch(loader(ranks=(1, 2)))
    assert epoch(loader(ranks=None)) == WHOLE


def _rank_of_a_group(rank: int, file: str, pipe: Any) -> None:
    of = loader(num_workers=1, multiprocessing_context="fork")
    distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    shares = [epoch(of), epoch(loader(ranks=mesh)), epoch(loader(ranks=distributed.group.WORLD))]
    state = of.state_dict()
    pipe.send((shares, state, _refusals(rank, state, mesh)))
    distributed.destroy_process_group()


def _refusals(rank: int, state: Any, mesh: Any) -> list[str]:
    """Return what is said where each rank loads another state, then the same."""
    found: list[str] = []
    state = {**state, "epoch": 0, "segments": []}
    for ranks in ("auto", mesh, distributed.group.WORLD):
        of = loader(ranks=ranks)
        own = {**state, "segments": [[2, 1, 8, 1, "drop", 2 + rank]]}
        of.load_state_dict(own)
        for _ in range(2):
            try:
                next(iter(of))
                found.append("")
            except ConfigError as error:
                found.append(str(error))
        of.load_state_dict(state)
        assert epoch(of) == epoch(loader(ranks=(rank, 2)))
    return found


def test_ranks_of_a_process_group(tmp_path: Path) -> None:
    """Also one that is made after the loader, and a device mesh."""
    context = multiprocessing.get_context("forkserver")
    pipes, processes = [], []
    for rank in range(2):
        mine, theirs = context.Pipe()
        arguments = (rank, str(tmp_path / "group"), theirs)
        processes.append(context.Process(target=_rank_of_a_group, args=arguments))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    found = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    for rank in range(2):
        assert found[rank][0] == [epoch(loader(ranks=(rank, 2)))] * 3
        message = "epoch 0 and 2 batches on ranks 0; epoch 0 and 3 batches on ranks 1"
        assert len(found[rank][2]) == 6
        assert all(message in text for text in found[rank][2])
    assert found[0][1] == found[1][1]


def test_the_kit_finds_it_exact() -> None:
    """With every stop, over topologies."""
    assert_exact_resume(
        lambda rank, ranks: loader(4, ranks=(rank, ranks)),
        range(COUNT),
        lambda batch: batch.tolist(),
        topologies=[1, 2, 3],
        max_stops=6,
        max_dropped=11,
    )


def test_the_kit_finds_padding_exact() -> None:
    """Each of the three parts of an epoch may repeat some."""
    assert_exact_resume(
        lambda rank, ranks: loader(4, ranks=(rank, ranks), equalize="pad"),
        range(COUNT),
        lambda batch: batch.tolist(),
        topologies=[1, 3],
        max_stops=4,
        max_repeated=3 * 11,
    )


class Faulty(Numbers):
    """Raises at some samples, in this process once each."""

    def __init__(self, *indices: int, error: type[BaseException], once: bool = True) -> None:
        super().__init__()
        self.indices, self.error, self.once = set(indices), error, once

    def __getitem__(self, index: int) -> int:
        if index in self.indices:
            if self.once:
                self.indices.discard(index)
            raise self.error(f"sample {index}")
        return index


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyboardInterrupt])
def test_a_batch_that_failed_is_read_again(error: type[BaseException]) -> None:
    """By the next `next`; the state never says that it was received."""
    of = Loader(Faulty(0, 17, 42, error=error), 8)
    batches = iter(of)
    got: list[list[int]] = []
    for failing in (0, 2, 5):
        got += [next(batches).tolist() for _ in range(failing - len(got))]
        with pytest.raises(error):
            next(batches)
        assert sum(one[-1] for one in saved(of)["segments"]) == failing
    got += epoch(batches)
    assert got == epoch(loader(shuffle=False))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_batch_that_always_fails_raises_each_time(persistent: bool) -> None:
    """Others are not skipped for it, whatever the workers have read ahead."""
    faulty = Faulty(17, error=OSError, once=False)
    of = Loader(faulty, 8, num_workers=2, persistent_workers=persistent)
    batches = iter(of)
    assert [next(batches).tolist()[0] for _ in range(2)] == [0, 8]
    for _ in range(2):
        with pytest.raises(OSError, match="sample 17"):
            next(batches)
    of.set_epoch(1)
    assert next(batches).tolist()[0] == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_that_raises_stop_iteration_ends_no_epoch(workers: int) -> None:
    """It would lose the rest without a word."""
    of = Loader(Faulty(17, error=StopIteration, once=workers == 0), 8, num_workers=workers)
    batches = iter(of)
    assert [next(batches).tolist()[0] for _ in range(2)] == [0, 8]
    with pytest.raises(RuntimeError, match="batch 2 of 12 did not come: the dataset or collate_fn"):
        next(batches)
    assert of.epoch == 0
    if not workers:
        assert len(epoch(batches)) == 10


class Deadly(Numbers):
    """Kills the process that reads a sample, while a file exists."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def __getitem__(self, index: int) -> int:
        if index == 17 and self.file.exists():
            self.file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return index


# torch's handler of SIGCHLD raises wherever this process is, perhaps in a __del__.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("persistent", [False, True])
def test_a_killed_worker_is_replaced(tmp_path: Path, persistent: bool) -> None:
    """And the batch that it had is read again."""
    file = tmp_path / "deadly"
    file.touch()
    of = Loader(Deadly(file), 8, num_workers=1, persistent_workers=persistent)
    batches = iter(of)
    got: list[list[int]] = []
    for _ in range(13):
        with suppress(RuntimeError, ConnectionError, EOFError):
            got.append(next(batches).tolist())
    assert not file.exists()
    assert got == epoch(loader(shuffle=False))
    assert next(batches, None) is None
    assert len(epoch(of)) == 12


def test_iter_alone_changes_nothing() -> None:
    """An epoch has begun when its first batch was received."""
    of = loader(num_workers=2)
    iter(of)
    of.start_prefetch()
    iter(of)
    assert epoch(of) == WHOLE
    first = loader()
    take(first, 5)
    of = loader()
    of.load_state_dict(saved(first))
    iter(of)
    assert epoch(of) == WHOLE[5:]


def test_an_iteration_that_could_not_begin_costs_no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was wrong can be mended."""
    monkeypatch.setenv("RANK", "0")
    of = loader()
    for _ in range(2):
        with pytest.raises(ConfigError, match="WORLD_SIZE"):
            epoch(of)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert epoch(of) == WHOLE


def test_what_is_prefetched_is_of_the_rank_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rank is known only afterwards, it is read again."""
    of = loader(num_workers=1)
    of.start_prefetch()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert epoch(of) == epoch(loader(ranks=(1, 2)))


def test_what_is_prefetched_is_of_the_epoch_that_is_read() -> None:
    """Whatever moved the loader afterwards."""
    first = loader()
    take(first, 5)
    of = loader(num_workers=1)
    of.load_state_dict(saved(first))
    of.start_prefetch()
    of.end_epoch()
    of.start_prefetch()
    assert [epoch(of), of.epoch] == [NEXT, 2]


def test_end_epoch() -> None:
    """A loop of a fixed number of steps, and a state that is saved behind it."""
    of = loader()
    batches = iter(of)
    assert next(batches).tolist() == WHOLE[0]
    of.end_epoch()
    of.end_epoch()
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(batches)
    again = loader()
    again.load_state_dict(saved(of))
    assert [again.epoch, epoch(again)] == [1, NEXT]
    again.end_epoch()
    assert again.epoch == 2
    assert [epoch(of), of.epoch] == [NEXT, 2]


def test_a_resumed_epoch_has_other_random_numbers_than_its_beginning() -> None:
    """Else augmentations would come twice; from the same state they are the same."""

    def seeds(state: Any = None) -> set[int]:
        of = Loader(Seeds(), 8, seed=3, num_workers=1)
        if state:
            of.load_state_dict(state)
        return set(flat(take(of, 2)))

    of = loader()
    take(of, 2)
    state = saved(of)
    take(of, 2)
    assert seeds(state) == seeds(state)
    assert seeds() == seeds()
    assert not seeds(state) & seeds()


def test_a_loader_that_has_begun_can_be_pickled() -> None:
    """The copy goes on where it stood, and the original is not disturbed."""
    of = loader(num_workers=1, persistent_workers=True)
    batches = iter(of)
    got = [next(batches).tolist() for _ in range(3)]
    copy = pickle.loads(pickle.dumps(of))
    assert epoch(copy) == WHOLE[3:]
    assert got + epoch(batches) == WHOLE
    of.start_prefetch()
    assert epoch(pickle.loads(pickle.dumps(of))) == NEXT == epoch(of)


def test_the_length_is_computed_once() -> None:
    """A progress bar asks for it with each batch."""
    of = loader()
    cuts: list[object] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is Cut.__init__.__code__:
            cuts.append(frame)

    sys.setprofile(profile)
    try:
        lengths = {len(of) for _ in of}
    finally:
        sys.setprofile(None)
    assert lengths == {12}
    assert len(cuts) == 1


def test_skipped_samples_count_nowhere() -> None:
    """The order is that of a smaller data set, also over ranks and after a restart."""
    skip = [0, 5, 6, 50, COUNT - 1, 5]
    kept = [index for index in range(COUNT) if index not in skip]
    smaller = epoch(Loader(kept, 8, shuffle=True, seed=3))
    for workers in (0, 1):
        of = loader(skip=skip, num_workers=workers)
        assert epoch(of) == smaller
        assert len(of) == len(kept) // 8 == len(smaller)
    got = [flat(epoch(loader(skip=skip, ranks=(rank, 3), equalize="none"))) for rank in range(3)]
    assert sorted(flat(got)) == kept
    padded = [epoch(loader(skip=skip, ranks=(rank, 3), equalize="pad")) for rank in range(3)]
    assert {len(batches) for batches in padded} == {-(-len(kept) // 24)}
    first = loader(skip=skip)
    take(first, 3)
    again = loader(skip=reversed(skip))
    again.load_state_dict(saved(first))
    assert epoch(again) == smaller[3:]


def test_what_a_step_saw_are_indices_in_the_dataset() -> None:
    """Also where samples are skipped."""
    of = loader(skip=[3, 4, 77])
    assert [of.samples_of(number) for number in range(len(of))] == epoch(loader(skip=[3, 4, 77]))


class Named(Numbers):
    """Numbers that have names."""

    names = tuple(f"n{index % 100}" for index in range(COUNT))


def test_samples_are_skipped_by_name() -> None:
    """All that have it."""
    by_name = Loader(Named(), 8, skip=["n1", "n50", 7])
    assert epoch(by_name) == epoch(loader(shuffle=False, skip=[1, 101, 50, 7]))


@pytest.mark.parametrize("other", [(), [1, 2], [1, 3], [1, 2, 4]])
def test_a_state_is_of_the_same_skipped_samples(other: list[int]) -> None:
    """Whatever their number."""
    state = saved(loader(skip=[2, 3]))
    with pytest.raises(ConfigError, match="another skip=.* it has skip='2 samples [0-9a-f]{16}'"):
        loader(skip=other).load_state_dict(state)
    loader(skip=[3, 2]).load_state_dict(state)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("persistent", [False, True])
def test_replay_repeats_batches_and_stays(workers: int, persistent: bool) -> None:
    """Before an epoch, within one, and after a restart."""
    of = loader(num_workers=workers, persistent_workers=persistent and workers > 0)
    assert epoch(of.replay(7, batches=3)) == WHOLE[:3] * 2 + WHOLE[:1]
    batches = iter(of)
    got = [next(batches).tolist() for _ in range(4)]
    state = saved(of)
    replayed = of.replay(3, batches=2)
    assert next(replayed).tolist() == WHOLE[4]
    assert saved(of) == state
    assert [*got, *epoch(batches)] == WHOLE
    assert epoch(replayed) == [WHOLE[5], WHOLE[4]]
    assert of.stats()["batches"] == len(WHOLE)
    assert of.stats()["replay_step_s"] > 0
    assert epoch(of) == NEXT


def test_replay_of_the_end_of_an_epoch() -> None:
    """What is left is less than was asked for, or nothing."""
    of = loader()
    batches = iter(of)
    for _ in range(len(WHOLE) - 1):
        next(batches)
    assert epoch(of.replay(3)) == WHOLE[-1:] * 3
    next(batches)
    with pytest.raises(ConfigError, match="nothing is left of epoch 0 to replay"):
        of.replay(3)
    assert list(batches) == []


def test_replay_of_what_fails() -> None:
    """The batch is read again afterwards."""
    of = Loader(Faulty(17, error=OSError), 8)
    with pytest.raises(OSError, match="sample 17"):
        of.replay(3)
    assert epoch(of) == epoch(loader(shuffle=False))


def test_stats_say_what_was_waited_for() -> None:
    """Times of the trainer, and those of workers."""
    of = loader(num_workers=1)
    epoch(of)
    stats = of.stats()
    assert stats["batches"] == stats["in_shared_memory"] == len(WHOLE)
    assert stats["wait_for_workers_s"] + stats["unpack_s"] <= stats["wait_s"]
    for name in ("workers_read_s", "workers_collate_s", "unpack_s", "wait_p50_s", "wait_p99_s"):
        assert stats[name] > 0


def test_it_shows_what_it_is_and_where_it_stands() -> None:
    """And what it reads."""
    one = loader()
    assert repr(one).startswith("<Loader of 103 samples in batches of 8, shuffled, epoch 0: <")
    one.set_epoch(2)
    html = one._repr_html_()
    for row in ("samples</th><td>103", "order</th><td>shuffled, seed 3", "epoch</th><td>2"):
        assert row in html
    assert ", in order, epoch 0: " in repr(loader(shuffle=False))
    assert isinstance(one.stats(), StatsTable)


def test_nobody_waits_for_a_batch_after_an_epoch_or_an_error() -> None:
    """`aisio top` would show it as waiting."""
    live = publishing.current()
    before = live.batches
    of = Loader(range(4), batch_size=2)
    assert len(list(of)) == 2
    assert (live.batches, live.waits_for_batch_s()) == (before + 2, None)

    class Broken:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        next(iter(Loader(Broken(), batch_size=2)))
    assert live.waits_for_batch_s() is None
