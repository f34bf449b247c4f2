"""Loader does what a model made of lists does, whatever is called in which order."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aisio.errors import ConfigError
from aisio.training.loader import Loader
from aisio.training.order.cut import Topology
from tests.training.list_model import ListModel
from tests.training.packs import PACK, ShardsOfNumbers, SmallPacks, number_of

RANKS = st.integers(1, 3)
BATCH_SIZES = st.integers(1, 5)


class Numbers:
    """Numbers as samples, of which all fail for a while."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.fails = False

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        if self.fails:
            raise OSError(f"sample {index}")
        return index


class FailingShards(SmallPacks):
    """Numbers in shards, of which all fail for a while."""

    def __init__(self, *sources: Any, **options: Any) -> None:
        super().__init__(*sources, **{**options, "transform": self.number_unless_failing})
        self.fails = False

    def number_unless_failing(self, item: Any) -> int:
        """Return the number of a sample."""
        if self.fails:
            raise OSError(f"sample {item}")
        return number_of(item)


class LoaderMachine(RuleBasedStateMachine):
    """Drives the loaders of all ranks, in step, and a model."""

    workers = st.just(0)
    windows = st.just(1)

    @initialize(
        samples=st.one_of(st.integers(20, 60), st.integers(1, 60)),
        seed=st.integers(0, 3),
        shuffle=st.sampled_from([True, True, False]),
        equalize=st.sampled_from(["drop", "pad", "none", "shrink"]),
        ranks=RANKS,
        batch_size=BATCH_SIZES,
        data=st.data(),
    )
    def begin(self, data: st.DataObject, **job: Any) -> None:
        """Make the loaders of a job."""
        self.states: list[tuple[ListModel, str]] = []
        self.num_workers = data.draw(self.workers)
        self.start(self.new_model(**job, window=data.draw(self.windows)))

    def new_model(
        self, *, samples: int, seed: int, shuffle: bool, window: int, **sizes: Any
    ) -> ListModel:
        """Return the model of a job: workers get the indices of their batches."""
        return ListModel(samples, seed, shuffle, 1, Topology(workers=1, window=1, **sizes))

    def new_loader(self, samples: int, batch_size: int, window: int, **options: Any) -> Loader:
        """Return the loader of a rank."""
        return Loader(Numbers(samples), batch_size, **options)

    def start(self, model: ListModel) -> None:
        """Make loaders for all ranks."""
        self.model = model
        self.iterators: list[Iterator[Any]] = []
        self.has_ended = False
        topology = model.topology
        self.loaders = [
            self.new_loader(
                model.samples,
                topology.batch_size,
                topology.window,
                shuffle=model.shuffle,
                seed=model.seed,
                equalize=topology.equalize,
                num_workers=self.num_workers,
                ranks=(rank, topology.ranks),
            )
            for rank in range(topology.ranks)
        ]

    @property
    def is_open(self) -> bool:
        """Whether batches can be asked for."""
        return bool(self.iterators)

    @property
    def is_refused(self) -> bool:
        """Whether there are too few samples to begin, or to go on with as many batches each."""
        counts = {len(batches) for batches in self.model.batches()}
        equalize = self.model.topology.equalize
        is_empty = equalize == "drop" and counts == {0} and not self.model.segments
        return is_empty or (equalize == "shrink" and len(counts) > 1)

    def left(self) -> list[list[list[int]]]:
        """Return the batches of each rank that are to come."""
        return [batches[self.model.received :] for batches in self.model.batches()]

    @rule()
    def iterate(self) -> None:
        """Begin an epoch, or go on in one from a state."""
        if self.model.has_begun:
            self.model = self.model.at_epoch(self.model.epoch + 1)
        self.has_ended = False
        self.iterators = [iter(loader) for loader in self.loaders]

    @rule(steps=st.integers(1, 4))
    def receive(self, steps: int) -> None:
        """Take batches on all ranks; where one is at the end, all go there."""
        if not self.is_open:
            self.iterate()
        for _ in range(steps):
            if self.has_ended:
                assert [next(iterator, None) for iterator in self.iterators] == [None] * len(
                    self.iterators
                )
            elif self.is_refused:
                for iterator in self.iterators:
                    with pytest.raises(ConfigError, match="samples.* make no batch"):
                        next(iterator)
            elif all(left := self.left()):
                got = [next(iterator).tolist() for iterator in self.iterators]
                assert got == [batches[0] for batches in left]
                self.model = self.model.with_batch()
            else:
                got = [[batch.tolist() for batch in iterator] for iterator in self.iterators]
                assert got == left
                self.has_ended = True
                self.model = self.model.at_epoch(self.model.epoch + 1)

    @precondition(lambda self: self.is_open and not self.num_workers and not self.has_ended)
    @precondition(lambda self: not self.is_refused)
    @rule()
    def fail(self) -> None:
        """Take batches that fail; they come again."""
        for loader, iterator, left in zip(self.loaders, self.iterators, self.left(), strict=True):
            loader.dataset.fails = True
            if left:
                with pytest.raises(OSError, match="sample"):
                    next(iterator)
            loader.dataset.fails = False

    @precondition(lambda self: self.is_open)
    @rule()
    def leave(self) -> None:
        """Leave an iteration early."""
        self.iterators = []

    @rule(later=st.sampled_from([0, 0, 1, 2]))
    def set_epoch(self, later: int) -> None:
        """Go to the beginning of an epoch, unless it is to be read anyway."""
        epoch = (self.model.epoch + later) % 4
        for loader in self.loaders:
            loader.set_epoch(epoch)
        if epoch != self.model.epoch or self.model.has_begun:
            self.model = self.model.at_epoch(epoch)

    @rule()
    def end_epoch(self) -> None:
        """Go to the next one, if a batch of this one was received."""
        for loader in self.loaders:
            loader.end_epoch()
        if self.model.segments:
            self.model = self.model.at_epoch(self.model.epoch + 1)
            self.has_ended = self.has_ended or self.is_open

    @rule()
    def save(self) -> None:
        """Keep a state."""
        self.states.append((self.model, json.dumps(self.loaders[0].state_dict())))

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        """Go to a state, also one of other ranks, and in the middle of an iteration."""
        saved, text = data.draw(st.sampled_from(self.states))
        for loader in self.loaders:
            loader.load_state_dict(json.loads(text))
        self.model = replace(
            self.model, epoch=saved.epoch, segments=saved.segments, has_begun=False
        )

    @rule(steps=st.integers(0, 4), ranks=RANKS, batch_size=BATCH_SIZES, data=st.data())
    def restart(self, steps: int, ranks: int, batch_size: int, data: st.DataObject) -> None:
        """Take batches, and go on with other ranks, batches, windows and workers."""
        self.receive(steps)
        text = json.dumps(self.loaders[0].state_dict())
        old = self.model
        self.num_workers = data.draw(self.workers)
        model = self.new_model(
            samples=old.samples,
            seed=old.seed,
            shuffle=old.shuffle,
            ranks=ranks,
            batch_size=batch_size,
            equalize=old.topology.equalize,
            window=data.draw(self.windows),
        )
        self.start(replace(model, epoch=old.epoch, segments=old.segments))
        for loader in self.loaders:
            loader.load_state_dict(json.loads(text))
        before = self.model.received_before
        assert self.model.batches() == [
            [loader.samples_of(number) for number in range(before, len(loader))]
            for loader in self.loaders
        ]

    @rule()
    def copy(self) -> None:
        """Go on with copies: where the loaders stood, in no iteration yet."""
        self.loaders = [pickle.loads(pickle.dumps(loader)) for loader in self.loaders]
        self.iterators = []
        self.has_ended = False
        self.model = replace(self.model, has_begun=False)

    @rule()
    def start_prefetch(self) -> None:
        """Have workers begin, which changes nothing."""
        for loader in self.loaders:
            with suppress(ConfigError):
                loader.start_prefetch()

    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        """Ask for the samples of a batch."""
        for loader, batches in zip(self.loaders, self.model.batches(), strict=True):
            before = self.model.received_before
            number = data.draw(st.integers(0, max(0, before + len(batches) - 1)))
            if before <= number < before + len(batches):
                assert loader.samples_of(number) == batches[number - before]
            else:
                with pytest.raises(IndexError):
                    loader.samples_of(number)

    @invariant()
    def all_stand_where_the_model_does(self) -> None:
        """Epoch, length and state are the same on each rank."""
        batches = self.model.batches()
        before = self.model.received_before
        assert [len(loader) - before for loader in self.loaders] == [len(one) for one in batches]
        assert {loader.epoch for loader in self.loaders} == {self.model.epoch}
        expected = [[*astuple(one.topology), one.batches] for one in self.model.segments]
        assert [loader.state_dict()["segments"] for loader in self.loaders] == [expected] * len(
            self.loaders
        )

    def teardown(self) -> None:
        """End all workers."""
        self.iterators = []
        self.loaders = []


class LoaderWithWorkersMachine(LoaderMachine):
    """The same, with worker processes."""

    workers = st.integers(0, 2)


class PacksMachine(LoaderMachine):
    """The same over shards, which are read by packs.

    Args:
        make: Makes the loaders.
    """

    windows = st.sampled_from([1, 5, 10, 20])

    def __init__(self, make: ShardsOfNumbers) -> None:
        super().__init__()
        self.make = make

    def new_model(
        self, *, samples: int, seed: int, shuffle: bool, window: int, **sizes: Any
    ) -> ListModel:
        """Return the model of a job: shuffled, each worker has windows of whole packs."""
        pack = min(PACK, samples)
        whole = max(1, window // pack) * pack
        shares = (max(1, self.num_workers), whole) if shuffle else (1, 1)
        topology = Topology(workers=shares[0], window=shares[1], **sizes)
        return ListModel(samples, seed, shuffle, pack, topology)

    def new_loader(self, samples: int, batch_size: int, window: int, **options: Any) -> Loader:
        """Return the loader of a rank."""
        return self.make(samples, batch_size, window, **options)


class PacksWithWorkersMachine(PacksMachine):
    """The same, with worker processes."""

    workers = st.integers(0, 2)


@pytest.mark.parametrize(
    ("machine", "examples", "steps"), [(LoaderMachine, 50, 40), (LoaderWithWorkersMachine, 3, 10)]
)
def test_it_does_what_lists_do(machine: type[LoaderMachine], examples: int, steps: int) -> None:
    """With and without workers."""
    limits = settings(max_examples=examples, stateful_step_count=steps)
    run_state_machine_as_test(machine, settings=limits)


@pytest.mark.parametrize(
    ("machine", "examples", "steps"), [(PacksMachine, 50, 30), (PacksWithWorkersMachine, 3, 10)]
)
def test_by_packs_it_does_what_lists_do(
    machine: type[PacksMachine], examples: int, steps: int, tmp_path: Path
) -> None:
    """Also where windows, ranks, batches and workers change within an epoch."""
    limits = settings(max_examples=examples, stateful_step_count=steps)
    make = ShardsOfNumbers(tmp_path, FailingShards)
    run_state_machine_as_test(lambda: machine(make), settings=limits)  # type: ignore[arg-type]
