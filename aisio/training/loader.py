"""Loader: batches of a map-style dataset, each sample once, on any ranks, also after a restart.

torch's DataLoader runs the workers. What this adds is the order: which samples make which batch of
which rank is computed from a few numbers (`aisio.training.order.cut`), so a job that stops can be
continued by one with other ranks, workers or batches, and nothing is read twice to get there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from itertools import cycle, islice
from typing import Any
from weakref import ref

from aisio.errors import ConfigError
from aisio.forks import this_process
from aisio.summary import StatsTable
from aisio.training.loader_attributes import LoaderAttributes
from aisio.training.loader_order import check_dataset, log_changes, start_of_job, topology_of
from aisio.training.loader_packs import LoaderPacks
from aisio.training.loader_ranks import LoaderRanks, Ranks
from aisio.training.order.cut import BatchEqualize, Cut, Topology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter
from aisio.training.step_times import StepTimes
from aisio.training.whole_number import whole_number
from aisio.training.workers.batch_reader import BatchReader, Reading, Share

__all__ = ["Loader", "Ranks"]

_OURS = frozenset({"batch_sampler", "drop_last", "generator", "in_order", "sampler"})

_END = object()
"""What no DataLoader gives: its batches are at an end."""


class Loader(LoaderAttributes):
    """An iterable over the batches of this rank; each `for` over it is an epoch.

    An iteration that is left early ends its epoch, if it gave a batch. The state says how far the
    trainer has come in batches that it received, whatever workers have read ahead. An error while
    a batch is read loses none: the next `next` reads that batch again, so a sample that always
    fails raises each time, and the dataset must replace it.

    All that decides what a batch is comes together in its arguments, so they are many.

    Args:
        dataset: A map-style dataset, aisio's or another's: it has `len()` and `[i]`, or
            `__getitems__`. Or a mix of some. If it has an attribute `data_digest`, states are of
            that data alone; otherwise of any data with as many samples.
        batch_size: Number of samples of a batch.
        shuffle: Give the samples in a random order, another one in each epoch.
        seed: Chooses the orders, from 0; the same on all ranks.
        equalize: "drop" leaves out fewer than ranks * batch_size samples of an epoch, so that all
            ranks have as many batches, and all batches are full. "pad" repeats some instead. "none"
            does neither: the last batch of a rank may be short, and ranks may differ by a batch.
            "shrink" does neither, and all ranks have as many batches, some of them smaller.
        num_workers: Number of worker processes; 0 reads in this process, in the same order.
        ranks: See `Ranks`. It is looked up when an iteration begins.
        skip: Samples that are left out, by index or, if the dataset has `names`, by name. They
            count nowhere: not in `len()`, nor for `equalize`. A state is of the same ones alone.
        copy: Copy tensors and arrays of a batch out of the shared memory that workers sent it in.
            Otherwise they are views of it, which is used again when the last of them is gone.
        window_bytes: How many bytes of an `AISShardDataset` each worker mixes, and holds, at the
            mean; by default those of four batches, within 32 and 128 MiB.
        **options: For torch's DataLoader, as in `collate_fn`, `pin_memory`, `persistent_workers`.

    Attributes:
        epoch: Number of the epoch, from 0; it counts by itself.

    Raises:
        ConfigError: An argument that cannot be right, or an option that the Loader itself decides.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        *,
        shuffle: bool = False,
        seed: int = 0,
        equalize: BatchEqualize = "drop",
        num_workers: int = 0,
        ranks: Ranks = "auto",
        skip: Iterable[int | str] = (),
        copy: bool = False,
        window_bytes: int | None = None,
        **options: Any,
    ) -> None:
        check_dataset(dataset)
        if taken := sorted(_OURS & options.keys()):
            hint = "; in its place there is equalize=" if "drop_last" in taken else ""
            raise ConfigError(f"Loader decides on {', '.join(taken)} itself: leave it out{hint}")
        self.dataset = dataset
        self._ranks = LoaderRanks(ranks, type(self).__name__)
        self._topology = topology_of(dataset, batch_size, equalize)
        self._packs = LoaderPacks.of(dataset, self.batch_size, num_workers, window_bytes)
        samples = SampleFilter(dataset, skip)
        self._position = start_of_job(
            dataset,
            samples,
            seed=whole_number("seed", seed, 0),
            shuffle=bool(shuffle),
            pack=self._packs.sizes.pack,
        )
        self._reader = BatchReader(
            self._packs.read_from(dataset, samples, alike=options.get("collate_fn") is None),
            {"num_workers": num_workers, **options},
            samples,
            copy=bool(copy),
        )
        self._times = StepTimes()
        self._has_begun = False  # a batch was received since the position was moved
        self._is_restored = False  # the ranks have not compared their states yet
        # Weak: the iteration refers to the loader, and the workers of one that nobody has any
        # more would wait for the garbage collector.
        self._iteration: ref[_Iteration] | None = None
        self._newest_cut: tuple[Position, Topology, Cut] | None = None

    def __repr__(self) -> str:
        summary = self._summary()
        order = "shuffled" if self._position.shuffle else "in order"
        return (
            f"<{type(self).__name__} of {summary['samples']} samples in batches of"
            f" {self.batch_size}, {order}, epoch {self.epoch}: {self.dataset!r}>"
        )

    def _summary(self) -> Mapping[str, object]:
        position = self._position
        return {
            "dataset": repr(self.dataset),
            "samples": f"{position.samples:,}",
            "batch size": self.batch_size,
            "order": f"shuffled, seed {position.seed}" if position.shuffle else "of the dataset",
            "epoch": self.epoch,
            "workers": self.num_workers,
        }

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_has_begun": False, "_iteration": None, "_newest_cut": None}

    @cached_property
    def _data(self) -> str:
        digest = getattr(self.dataset, "data_digest", "")
        if not isinstance(digest, str):
            raise ConfigError(
                f"{type(self.dataset).__name__}.data_digest is a {type(digest).__name__}: a str is"
                " needed"
            )
        return digest

    @property
    def epoch(self) -> int:
        """Number of the epoch that is read, or is read next."""
        return self._position.epoch

    @property
    def batch_size(self) -> int:
        """Number of samples of a batch."""
        return self._topology.batch_size

    @property
    def drop_last(self) -> bool:
        """Whether what makes no full batch for all ranks is left out."""
        return self._topology.equalize == "drop"

    def __len__(self) -> int:
        """Return the number of this rank's batches in the epoch.

        After a restart on other ranks or batches: those that each rank had received before, and
        what was left. So a trainer that counts on from there stops at the end of the epoch.
        """
        share = self._share()
        return share.received_before + share.count

    def __iter__(self) -> Iterator[Any]:
        if self._has_begun:
            self._move_to(self._position.at_epoch(self.epoch + 1))
        iteration = _Iteration(self)
        self._iteration = ref(iteration)
        return iteration

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch.

        If the loader is about to read that epoch, or to go on in it from a state, nothing changes.
        """
        epoch = whole_number("epoch", epoch, 0)
        if epoch != self.epoch or self._has_begun:
            self._move_to(self._position.at_epoch(epoch))

    def end_epoch(self) -> None:
        """Go to the beginning of the next epoch, unless no batch of this one was received yet.

        For a loop that is left early, as after a fixed number of steps: a state that is saved
        behind it is then that of the next epoch. Behind a loop that came to its end it does
        nothing.
        """
        if self._position.segments:
            self._end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return where the trainer stands: JSON's types, the same on every rank.

        It grows by some 30 bytes with each restart on other ranks or batches within one epoch.
        """
        return self._state_of(self._position)

    def _state_of(self, position: Position) -> dict[str, Any]:
        return position.to_dict(self._data, self._reader.samples.digest)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a trainer stood, of any ranks, workers and batch size.

        It may be called before an iteration or within one, which then goes on from there. Seed and
        shuffling are those of the state. Where a process group connects the ranks, all of them
        must call it: before the first batch they compare their states.

        Raises:
            ConfigError: The state is of other data, of another `skip`, of another loader, of a
                newer version, or damaged.
        """
        position = self._position.restored(state, self._data, self._reader.samples.digest)
        for segment in position.segments:
            shares = segment.topology.workers, segment.topology.window
            if shares != (1, 1) and not self._packs.are_read:
                raise ConfigError(
                    "the state is of another loader: its order was made by"
                    f" {segment.topology.workers} workers in windows of {segment.topology.window}"
                )
        log_changes(position, self._position, self._topology)
        self._move_to(position)
        self._is_restored = True

    def start_prefetch(self) -> None:
        """Have the workers begin to read, for the iteration that comes."""
        if not self._has_begun:
            self._reader.prefetch(self._checked_share())

    def samples_of(self, batch: int) -> list[int]:
        """Return the indices of the samples of this rank's batch, counted as by `len()`.

        Raises:
            IndexError: There is no such batch, or it was received before a restart on other ranks
                or batches.
        """
        share = self._share()
        before = share.received_before
        if 0 <= batch < before:
            raise IndexError(
                f"batch {batch} was received before a restart on other ranks or batches"
            )
        if not 0 <= batch < before + share.count:
            total = before + share.count
            raise IndexError(f"batch {batch} of rank {share.rank}, which has {total}")
        return self._reader.samples.indices(share.cut.batch(share.rank, batch - before))

    def stats(self) -> dict[str, float]:
        """Return how many batches were received, and how long the trainer waited for each.

        Times are in seconds: `wait_s` in all, and the 50th, 95th and 99th percentile of the last
        10,000 batches; `step_s` is what its own steps took in all, `replay_step_s` the median of
        those in `replay`. The rest is as in `TransportStats`.
        """
        return StatsTable(self._times.stats() | asdict(self._reader.stats))

    def replay(self, steps: int, batches: int = 4) -> Iterator[Any]:
        """Yield a few batches again and again, as if reading cost nothing.

        This measures the trainer alone: `stats()["replay_step_s"]` is how long it takes for a step
        then. The batches are the next ones of the epoch, the same objects each time. The position
        stays, and what was prefetched is read again.

        Args:
            steps: How many batches to yield.
            batches: How many different ones.

        Raises:
            ConfigError: A number is below 1, or nothing is left of the epoch.
        """
        whole_number("steps", steps, 1)
        whole_number("batches", batches, 1)
        try:
            kept = list(islice(self._open().batches, min(batches, steps)))
        except BaseException as error:
            self._reader.recover(error)
            raise
        finally:
            self._move_to(self._position, has_begun=self._has_begun)
        if not kept:
            raise ConfigError(f"nothing is left of epoch {self.epoch} to replay: call end_epoch()")
        return self._times.replay(islice(cycle(kept), steps))

    def _move_to(
        self, position: Position, *, has_begun: bool = False, ends_iteration: bool = False
    ) -> None:
        iteration = self._iteration and self._iteration()
        if iteration:
            iteration.reading = None
            iteration.has_ended = iteration.has_ended or ends_iteration
        # As in `_Iteration.__next__`, no call comes between.
        self._position = position
        self._has_begun = has_begun

    def _end_epoch(self) -> None:
        self._move_to(self._position.at_epoch(self.epoch + 1), ends_iteration=True)

    def _share(self) -> Share:
        """Return what this rank reads from here on."""
        rank, ranks = self._ranks.current()
        topology = self._packs.topology(replace(self._topology, ranks=ranks), self._position)
        start, received = self._position.start_of(topology)
        if self._newest_cut is None or self._newest_cut[:2] != (start, topology):
            cut, _ = start.cut(topology)
            self._newest_cut = start, topology, cut
        return Share(self._position, topology, rank, self._newest_cut[2], received)

    def _checked_share(self) -> Share:
        """Return what this rank reads from here on, if the dataset is still the same.

        Raises:
            ConfigError: The dataset has another length than it had, or is too small.
        """
        share, samples = self._share(), self._position.samples + self._reader.samples.skipped
        if len(self.dataset) != samples:
            raise ConfigError(
                f"{type(self.dataset).__name__} has {len(self.dataset):,} samples now, and had"
                f" {samples:,} when the Loader was made: make a new Loader"
            )
        share.check_batches()
        return share

    def _open(self) -> Reading:
        """Begin to read at the position, for the iteration."""
        state = self.state_dict()  # computes the digest here, not within the training loop
        if self._is_restored:
            self._ranks.check_same(state)
            self._is_restored = False
        self._packs.learn_fields(self.dataset)
        self._times.begin()
        return self._reader.open(self._checked_share())


class _Iteration(Iterator[Any]):
    """One pass over what is left of an epoch, which counts what the trainer receives.

    Attributes:
        reading: The batches that come. None where they are to be opened at the loader's position:
            at first, where that was moved, and where an error lost a batch.
        has_ended: Whether the epoch is at its end, for this iteration.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._process = this_process()
        self.reading: Reading | None = None
        self.has_ended = False

    def __next__(self) -> Any:
        loader = self._loader
        self._process.check("this iteration of a Loader")
        if self.has_ended:
            raise StopIteration
        if loader._iteration is None or loader._iteration() is not self:
            raise RuntimeError("another iteration of this Loader has begun")
        asked = loader._times.ask()
        try:
            reading = self.reading = self.reading or loader._open()
            batch = next(reading.batches, _END)
            received = reading.received + 1
            position = loader._position.received(reading.share.topology, received)
            if batch is not _END:
                loader._times.give(asked)
        except BaseException as error:
            self.reading = None
            loader._times.fail()
            loader._reader.recover(error)
            raise
        if batch is _END:
            self._end(reading, asked)
        # Last, and without a call: Python runs handlers of signals, which may raise, within calls.
        # So a batch that a KeyboardInterrupt keeps from the trainer is not counted.
        reading.received = received
        loader._position = position
        loader._has_begun = True
        return batch

    def _end(self, reading: Reading, asked: float) -> None:
        self.reading = None
        self._loader._times.end_epoch(asked)
        if reading.received < reading.share.count:
            raise RuntimeError(
                f"batch {reading.received} of {reading.share.count} did not come: the dataset or"
                " collate_fn raised StopIteration"
            )
        self._loader._end_epoch()
        raise StopIteration
