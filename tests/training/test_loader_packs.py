"""LoaderPacks: what holds for other datasets holds where workers read by packs."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import pickle
import signal
from array import array
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it
from torch.utils.data import Subset, get_worker_info

from aisio.errors import ConfigError
from aisio.records import Concurrency
from aisio.shards.index import one_shard
from aisio.shards.sample_reader import SampleReader
from aisio.stores import LocalStore
from aisio.testing.exact_resume import assert_exact_resume
from aisio.training.loader import Loader
from aisio.training.loader_packs import LoaderPacks
from aisio.training.shard_dataset import AISShardDataset
from aisio.training.workers.pack_reading import PackSizes
from aisio.training.workers.window_reader import WindowReader
from aisio.transport.body import Body
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.urls import ObjectUrl
from tests.indexed import local
from tests.tars import pack
from tests.training.number_batches import epoch, flat, saved, take
from tests.training.packs import SAMPLE_BYTES, SmallPacks, number_of

COUNT = 103
WINDOW_BYTES = 20 * SAMPLE_BYTES


class Deadly:
    """Kills the process that makes the item of a sample, while a file exists."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, item: Any) -> int:
        """Return the number of a sample."""
        if int(item[0]) == 42 and self.file.exists():
            self.file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return int(item[0])


class Data:
    """Shards with 103 samples in a folder, and their index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        numbers = iter(range(COUNT))
        shards = {
            f"{number}.tar": pack(*((f"{next(numbers):03d}.txt", b"x") for _ in range(samples)))
            for number, samples in enumerate([30, 1, 50, 22])
        }
        self.index, _ = local(folder, shards)

    def dataset(self, kind: type[AISShardDataset] = SmallPacks, **options: Any) -> Any:
        """Return a dataset of numbers."""
        options = {"transform": number_of, "index": self.index, **options}
        return kind(f"file://{self.folder}/", keys=["txt"], **options)

    def loader(self, batch_size: int = 8, **options: Any) -> Loader:
        """Return a loader that shuffles."""
        dataset = options.pop("dataset", None) or self.dataset()
        options = {"shuffle": True, "seed": 3, "window_bytes": WINDOW_BYTES, **options}
        return Loader(dataset, batch_size, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Return shards."""
    return Data(tmp_path_factory.mktemp("shards"))


WORKERS = pytest.mark.parametrize("workers", [0, 1, 2])


@WORKERS
def test_epochs_are_whole_and_differ(data: Data, workers: int) -> None:
    """What comes is what the order says; persistent workers do not keep the first one."""
    of = data.loader(num_workers=workers, persistent_workers=workers > 0)
    order = [of.samples_of(number) for number in range(len(of))]
    first = epoch(of)
    second = epoch(of)
    assert first == order
    assert len(set(flat(first))) == len(flat(first)) == len(flat(second)) == COUNT // 8 * 8
    assert first != second


def test_no_worker_is_one_worker(data: Data) -> None:
    """The same order."""
    assert epoch(data.loader()) == epoch(data.loader(num_workers=1))


def test_a_batch_mixes_packs(data: Data) -> None:
    """Neighbours do not stay neighbours."""
    of = data.loader(20)
    batch = of.samples_of(0)
    neighbours = sum(abs(one - other) == 1 for one, other in pairwise(batch))
    assert neighbours < 7
    assert len({number // 5 for number in batch}) < 12


@WORKERS
@pytest.mark.parametrize("batch_size", [1, 8])
def test_without_shuffling_samples_come_by_their_numbers(
    data: Data, workers: int, batch_size: int
) -> None:
    """Whatever the number of workers."""
    of = data.loader(batch_size, shuffle=False, equalize="none", num_workers=workers)
    assert flat(epoch(of)) == list(range(COUNT))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_stop_anywhere_is_gone_on_from(data: Data, workers: int, shuffle: bool) -> None:
    """With as many workers the order is that of an unbroken run."""
    of = data.loader(num_workers=workers, shuffle=shuffle)
    whole, after = epoch(of), epoch(of)
    for stop in range(0, len(whole) + 1, 1 if not workers else 3):
        first = data.loader(num_workers=workers, shuffle=shuffle)
        assert take(first, stop) == whole[:stop]
        again = data.loader(num_workers=workers, shuffle=shuffle)
        again.load_state_dict(saved(first))
        assert [epoch(again), again.epoch] == [whole[stop:], 1]
        if not workers:
            assert epoch(again) == after


@pytest.mark.parametrize("before", [(1, 8, 0), (2, 3, 2), (3, 4, 1)])
@pytest.mark.parametrize("after", [(1, 7, 2), (2, 5, 0), (3, 2, 1)])
def test_ranks_workers_and_batches_may_change(
    data: Data, before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    """Each sample comes once, but for what is dropped."""
    ranks, batch_size, workers = before
    old = [
        data.loader(batch_size, ranks=(rank, ranks), num_workers=workers) for rank in range(ranks)
    ]
    got = [sample for one in old for sample in flat(take(one, 3))]
    assert all(saved(one) == saved(old[0]) for one in old)
    ranks, batch_size, workers = after
    for rank in range(ranks):
        new = data.loader(batch_size, ranks=(rank, ranks), num_workers=workers)
        new.load_state_dict(saved(old[0]))
        got += flat(epoch(new))
    assert len(set(got)) == len(got) > COUNT - ranks * batch_size


def test_another_window_may_go_on(data: Data) -> None:
    """It is another topology."""
    first = data.loader()
    got = flat(take(first, 5))
    again = data.loader(window_bytes=2 * WINDOW_BYTES)
    again.load_state_dict(saved(first))
    got += flat(epoch(again))
    assert len(set(got)) == len(got) > COUNT - 8


@pytest.mark.parametrize("equalize", ["pad", "none", "shrink"])
def test_every_sample_comes(data: Data, equalize: Any) -> None:
    """Repeated ones too, to each rank as many batches."""
    shares = [
        epoch(data.loader(4, ranks=(rank, 5), equalize=equalize, num_workers=rank % 3))
        for rank in range(5)
    ]
    assert {sample for share in shares for sample in flat(share)} == set(range(COUNT))
    if equalize != "none":
        assert {len(share) for share in shares} == {6}
    if equalize != "pad":
        assert sum(len(flat(share)) for share in shares) == COUNT


@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_loaded_in_the_middle_is_used(data: Data, workers: int) -> None:
    """Whatever workers have read ahead, also persistent ones."""
    whole = epoch(data.loader(num_workers=workers))
    first = data.loader(num_workers=workers)
    take(first, 5)
    of = data.loader(num_workers=workers, persistent_workers=workers > 0)
    batches = iter(of)
    for _ in range(3):
        next(batches)
    of.load_state_dict(saved(first))
    assert epoch(batches) == whole[5:]
    of.load_state_dict(saved(first))
    assert epoch(of) == whole[5:]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_early_break_ends_the_epoch(data: Data, workers: int) -> None:
    """The next one is whole."""
    expected = data.loader(num_workers=workers)
    expected.set_epoch(1)
    of = data.loader(num_workers=workers, persistent_workers=workers > 0)
    for _ in of:
        break
    assert epoch(of) == epoch(expected)


def test_an_iteration_that_nobody_has_ends_its_workers(data: Data) -> None:
    """At once, not when the garbage collector comes by."""
    gc.collect()
    gc.disable()
    try:
        batches = iter(data.loader(num_workers=2))
        next(batches)
        assert len(multiprocessing.active_children()) == 2
        del batches
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_nothing_is_kept_of_an_iteration_that_was_left(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without workers: neither samples nor requests; another iteration is not disturbed."""
    ended: list[object] = []
    close = WindowReader.close

    def counted(reader: WindowReader[Any, Any]) -> None:
        ended.append(reader)
        close(reader)

    monkeypatch.setattr(WindowReader, "close", counted)
    whole = epoch(data.loader())
    of = data.loader()
    old = iter(of)
    next(old)
    ended.clear()
    state = saved(of)
    new = iter(of)
    of.load_state_dict(state)
    got = [next(new).tolist()]
    assert len(ended) == 1
    del old
    assert len(ended) == 1
    assert got + epoch(new) == whole[1:]
    batches = iter(of)
    next(batches)
    ended.clear()
    del batches
    assert len(ended) == 1


def test_start_prefetch_reads_what_comes(data: Data) -> None:
    """And nothing else, also where a state is loaded afterwards."""
    whole = epoch(data.loader(num_workers=2))
    of = data.loader(num_workers=2)
    of.start_prefetch()
    assert epoch(of) == whole
    first = data.loader(num_workers=2)
    take(first, 5)
    of = data.loader(num_workers=2)
    of.start_prefetch()
    of.load_state_dict(saved(first))
    assert epoch(of) == whole[5:]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_skipped_samples_are_not_read(data: Data, workers: int, shuffle: bool) -> None:
    """By index or name; the others come once, also after a restart."""
    options: dict[str, Any] = {"skip": [0, 31, "077"], "num_workers": workers}
    options |= {"equalize": "none", "shuffle": shuffle}
    of = data.loader(**options)
    whole = epoch(of)
    assert sorted(flat(whole)) == sorted(set(range(COUNT)) - {0, 31, 77})
    first = data.loader(**options)
    assert take(first, 4) == whole[:4] == [first.samples_of(number) for number in range(4)]
    again = data.loader(**options)
    again.load_state_dict(saved(first))
    assert epoch(again) == whole[4:]


@pytest.mark.parametrize("workers", [0, 1])
def test_replay_changes_nothing(data: Data, workers: int) -> None:
    """The workers read on from where they were."""
    whole = epoch(data.loader())
    of = data.loader(num_workers=workers)
    batches = iter(of)
    got = [next(batches).tolist() for _ in range(3)]
    assert epoch(of.replay(5, batches=2)) == [*whole[3:5], *whole[3:5], whole[3]]
    assert got + epoch(batches) == whole


def test_a_loader_that_has_begun_can_be_pickled(data: Data) -> None:
    """The copy goes on where it stood; the dataset takes its index along."""
    whole = epoch(data.loader())
    of = data.loader()
    take(of, 3)
    assert epoch(pickle.loads(pickle.dumps(of))) == whole[3:]


def test_workers_that_are_not_forked(data: Data) -> None:
    """They get the dataset by pickle."""
    of = data.loader(num_workers=1, multiprocessing_context="forkserver")
    assert epoch(of) == epoch(data.loader())


@pytest.mark.parametrize(
    ("batch_size", "samples"), [(1, 465), (120, 480), (256, 1020), (5000, 1905)]
)
def test_a_window_has_several_batches(batch_size: int, samples: int) -> None:
    """By default, within 32 and 128 MiB, in whole packs."""
    spans = (array("Q", range(0, 630_000_000, 70_000)), array("Q", [70_000] * 9000), None)
    index = one_shard("ais://b/a.tar", 1 << 30, "", spans=spans, samples=9000, keys=None)
    dataset = AISShardDataset.__new__(AISShardDataset)
    dataset.index = index
    packs = LoaderPacks.of(dataset, batch_size, 2, None)
    assert packs == LoaderPacks(True, PackSizes(15, samples), 2)


def check_dataset(_: int) -> None:
    """Fail in a worker if it does not see the dataset."""
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, AISShardDataset)


def test_workers_see_the_dataset(data: Data) -> None:
    """As torch's loader shows it to `worker_init_fn`."""
    assert len(epoch(data.loader(num_workers=1, worker_init_fn=check_dataset))) == 12


def test_the_kit_finds_it_exact(data: Data) -> None:
    """With every stop, over topologies."""
    assert_exact_resume(
        lambda rank, ranks: data.loader(4, ranks=(rank, ranks)),
        range(COUNT),
        lambda batch: batch.tolist(),
        topologies=[1, 2, 3],
        max_stops=4,
        max_dropped=11,
    )


@pytest.mark.parametrize("kind", ["compressed", "interleaved"])
def test_shards_without_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Each is in few packs, so it is read a few times in an epoch, not for each sample."""
    shards: dict[str, bytes] = {}
    for shard in range(5):
        names = [f"{20 * shard + number:03d}" for number in range(20)]
        if kind == "compressed":
            shards[f"{shard}.tgz"] = gzip.compress(pack(*((f"{name}.txt", b"x") for name in names)))
        else:
            fields = [(f"{name}.{field}", b"x") for field in ("txt", "cls") for name in names]
            shards[f"{shard}.tar"] = pack(*fields)
    index, urls = local(tmp_path, shards)
    reads: list[str] = []
    get = LocalStore.get

    def counted(store: LocalStore, url: ObjectUrl, *arguments: Any, **options: Any) -> Body:
        reads.append(url.name)
        return get(store, url, *arguments, **options)

    monkeypatch.setattr(LocalStore, "get", counted)
    dataset = SmallPacks(f"file://{tmp_path}/", keys=["txt"], index=index, transform=number_of)
    dataset.sample_reader = SampleReader(
        index,
        [(LocalStore(), url) for url in urls],
        keys=["txt"],
        limit=AdaptiveLimit(Concurrency.of(1)),
        kept_shard_bytes=0,
    )
    of = Loader(dataset, 8, shuffle=True, equalize="none", window_bytes=1)
    for _ in range(2):
        reads.clear()
        assert sorted(flat(epoch(of))) == list(range(100))
        assert len(reads) <= 3 * len(shards)


class Once:
    """Raises for some samples, once each in a process."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)

    def __call__(self, item: Any) -> int:
        """Return the number of a sample."""
        number = int(item[0])
        if number in self.numbers:
            self.numbers.discard(number)
            raise OSError(f"sample {number}")
        return number


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_that_failed_is_read_again(data: Data, workers: int) -> None:
    """By the next `next`."""
    whole = epoch(data.loader())
    failing = whole[2][3]
    of = data.loader(
        dataset=data.dataset(transform=Once(failing)),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    batches = iter(of)
    got = [next(batches).tolist() for _ in range(2)]
    with pytest.raises(OSError, match=f"sample {failing}"):
        next(batches)
    assert got + epoch(batches) == whole


# torch's handler of SIGCHLD raises wherever this process is, perhaps in a __del__.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_worker_is_replaced(data: Data, tmp_path: Path) -> None:
    """And the batch that it had is read again."""
    file = tmp_path / "deadly"
    file.touch()
    dataset = data.dataset(transform=Deadly(file))
    of = data.loader(dataset=dataset, num_workers=1, equalize="none")
    batches = iter(of)
    got: list[list[int]] = []
    for _ in range(14):
        with suppress(RuntimeError, ConnectionError, EOFError):
            got.append(next(batches).tolist())
    assert not file.exists()
    assert got == epoch(data.loader(equalize="none"))[: len(got)]


class Doubled(AISShardDataset):
    """A subclass that makes its own items."""

    def __getitem__(self, index: int) -> Any:
        """Return twice the number."""
        return 2 * super().__getitem__(index)


def test_what_wraps_the_dataset_is_read_by_indices(data: Data) -> None:
    """As any other dataset, sample by sample."""
    doubled = data.dataset(Doubled)
    of = data.loader(dataset=doubled, num_workers=1, window_bytes=None)
    subset = data.loader(dataset=Subset(data.dataset(), range(COUNT)), window_bytes=None)
    plain = epoch(subset)
    assert epoch(of) == [[2 * number for number in batch] for batch in plain]
    assert epoch(data.loader()) != plain
    for dataset in (doubled, range(9)):
        with pytest.raises(ConfigError, match="window_bytes=.* is for an AISShardDataset itself"):
            data.loader(dataset=dataset)
    with pytest.raises(ConfigError, match="of another loader: it has pack=5"):
        subset.load_state_dict(saved(data.loader()) | {"data": ""})
    with pytest.raises(ConfigError, match="window_bytes=0"):
        data.loader(window_bytes=0)


def test_a_state_of_other_shards_is_refused(data: Data) -> None:
    """By the digest of their index."""
    state = {**saved(data.loader()), "data": "sha256:00"}
    with pytest.raises(ConfigError, match="of other data: it has data='sha256:00'"):
        data.loader().load_state_dict(state)


def test_fields_are_learned_before_the_workers_start(tmp_path: Path) -> None:
    """From the first samples of the data set, whatever samples a worker has."""
    members = [(f"{number:03d}.{'ab'[number > 100]}", b"x") for number in range(COUNT)]
    index, _ = local(tmp_path, {"0.tar": pack(*members)})
    dataset = SmallPacks(f"file://{tmp_path}/", index=index, transform=fields_of)
    of = Loader(dataset, 1, num_workers=2, collate_fn=list, window_bytes=WINDOW_BYTES)
    batches = iter(of)
    assert [next(batches) for _ in range(100)] == [["a"]] * 100
    with pytest.raises(Exception, match="'101' at byte .* has 'b', which none of the first"):
        list(batches)


def fields_of(item: Any) -> str:
    """Return the names of an item's fields."""
    return " ".join(item[1])
