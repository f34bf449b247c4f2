"""SizedBatchSampler: what samplers of batches by size have in common: ranks, epochs, state."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from xxhash import xxh3_64_hexdigest

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.loader_ranks import LoaderRanks, Ranks
from aisio.training.order.batch_rounds import BatchRounds
from aisio.training.order.cut import Equalize, require_equalize
from aisio.training.order.shuffled import Numbers
from aisio.training.sample_sizes import Sizes, sizes_of
from aisio.training.whole_number import whole_number

try:
    import numpy as np
    from torch.utils.data import Sampler
except ImportError as error:
    raise missing_extra(error.name or "numpy", "torch") from error

__all__ = ["Batches", "SizedBatchSampler"]

_VERSION = 1
_log = logging.getLogger("aisio.samplers")

Segments: TypeAlias = "tuple[tuple[int, int], ...]"
"""Stretches of an epoch: number of ranks, and of the batches that each of them received."""


class Batches(NamedTuple):
    """The batches of an epoch, of all ranks together.

    Attributes:
        samples: Indices of the samples.
        starts: Where in `samples` each batch begins.
        stops: Where it ends.
    """

    samples: Numbers
    starts: np.ndarray[Any, Any]
    stops: np.ndarray[Any, Any]

    def batch(self, number: int) -> list[int]:
        """Return the indices of the samples of a batch."""
        indices: list[int] = self.samples[self.starts[number] : self.stops[number]].tolist()
        return indices


class SizedBatchSampler(Sampler[list[int]]):
    """Batches of samples by their sizes; a subclass says which samples make a batch.

    Each rank computes the batches of all ranks, and takes every n-th. An epoch's batches are kept
    as arrays of numbers, with no Python object for a sample or a batch.

    More than 10 attributes: six are the arguments, the others say where it stands.

    Args:
        data_source: The dataset.
        sizes: See `sizes_of`.
        shuffle: Whether batches are others in each epoch.
        seed: Chooses the orders, from 0; the same on all ranks.
        ranks: See `Ranks`.
        equalize: See `BatchRounds`.

    Raises:
        ConfigError: An argument that cannot be right, or sizes are not known.
    """

    def __init__(
        self,
        data_source: Any,
        *,
        sizes: Sizes | None,
        shuffle: bool,
        seed: int,
        ranks: Ranks,
        equalize: Equalize,
    ) -> None:
        super().__init__()
        require_equalize(equalize)
        self._data_source = data_source
        self._sizes = sizes_of(data_source, sizes)
        self._shuffle = bool(shuffle)
        self._seed = whole_number("seed", seed, 0)
        self._ranks = LoaderRanks(ranks, type(self).__name__)
        self._equalize = equalize
        self._epoch = 0
        self._segments: Segments = ()
        self._has_begun = False  # a batch was given since the position was moved
        self._iteration: object = None  # the newest one, which alone moves the position
        self._ended_length: int | None = None  # of the epoch whose last batch was given
        self._made: tuple[tuple[int, int], Batches] | None = None  # of which seed and epoch

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_has_begun": False, "_iteration": None, "_made": None}

    @abstractmethod
    def _make_batches(self) -> Batches:
        """Return the batches of the epoch."""

    @abstractmethod
    def _rule(self) -> str:
        """Return the arguments that say what a batch is, for the state."""

    @cached_property
    def _data(self) -> str:
        return f"{len(self._sizes)} sizes, xxh3 {xxh3_64_hexdigest(self._sizes.data)}"

    def _round_key(self) -> tuple[int | str, ...] | None:
        """Return what the order of the rounds depends on; None for that of the batches."""
        return None

    @property
    def epoch(self) -> int:
        """Number of the epoch that is given, or is given next, from 0; it counts by itself."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of this rank's batches in the epoch.

        After a restart on other ranks: those that each rank had received before, and what was left.
        Behind an epoch's last batch it stays that of this epoch, which a DataLoader's workers have
        not delivered yet, until the next one begins, or `set_epoch` names it.
        """
        if self._ended_length is not None:
            return self._ended_length
        rank, ranks = self._ranks.current()
        before, _ = self._split(ranks)
        return sum(batches for _, batches in before) + self._rounds(before, ranks).count(rank)

    def __iter__(self) -> Iterator[list[int]]:
        """Return an iteration over the rest of the epoch, or over the next one.

        One that is left early ends its epoch, if it gave a batch.

        Raises:
            ConfigError: At the first batch: there is none, or none for each rank.
        """
        if self._has_begun:
            self._move_to(self._epoch + 1)
        self._ended_length = None
        self._iteration = iteration = object()
        return self._iterate(iteration)

    def _iterate(self, iteration: object) -> Iterator[list[int]]:
        epoch = self._epoch
        rank, ranks = self._ranks.current()
        before, received = self._split(ranks)
        batches, rounds = self._batches(), self._rounds(before, ranks)
        count = rounds.count(rank)
        if not rounds.count(0) and not before:
            raise ConfigError(
                f"<{type(self).__name__}> {len(self._sizes):,} samples make"
                f" {len(batches.starts):,} batches for {ranks} ranks: none would be left; use a"
                " smaller batch, or equalize='pad'"
            )
        if received > rounds.count(0):
            raise ConfigError(
                f"the state says that {received:,} batches were received, and there are"
                f" {rounds.count(0):,}: it is damaged"
            )
        for number in range(received, count):
            if self._iteration is iteration:
                self._segments = (*before, (ranks, number + 1))
                self._has_begun = True
            yield batches.batch(rounds.batch(rank, number))
        if self._iteration is iteration:
            self._move_to(epoch + 1)
            self._ended_length = sum(batches for _, batches in before) + count

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch.

        If the sampler is about to give that epoch, or to go on in it from a state, nothing changes.
        """
        epoch = whole_number("epoch", epoch, 0)
        self._ended_length = None
        if epoch != self._epoch or self._has_begun:
            self._move_to(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return which batches were given: JSON's types, the same on ranks that gave as many."""
        return {
            "version": _VERSION,
            "rule": f"{type(self).__name__}({self._rule()}, shuffle={self._shuffle})",
            "data": self._data,
            "seed": self._seed,
            "epoch": self._epoch,
            "segments": [list(segment) for segment in self._segments],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the batches that were given, by as many ranks or by any other number.

        The seed is that of the state.

        Raises:
            ConfigError: The state is of other sizes, of another sampler, of a newer version of
                aisio, or damaged.
        """
        if not isinstance(state, Mapping) or "version" not in state:
            raise ConfigError(f"{state!r:.80} is no state of a {type(self).__name__}")
        if whole_number("the state's version", state["version"], 1) > _VERSION:
            raise ConfigError(f"the state has version {state['version']}: update aisio")
        mine = self.state_dict()
        for name in ("rule", "data"):
            if state.get(name) != mine[name]:
                raise ConfigError(
                    f"the state is of {'other data' if name == 'data' else 'another sampler'}:"
                    f" {state.get(name)!r}, and this is {mine[name]!r}"
                )
        seed = whole_number("the state's seed", state.get("seed"), 0)
        epoch = whole_number("the state's epoch", state.get("epoch"), 0)
        segments = _segments_of(state.get("segments"))
        if seed != self._seed:
            _log.warning("<%s> seed=%d is that of the state", type(self).__name__, seed)
        self._seed = seed
        self._move_to(epoch)
        self._segments = segments

    def _move_to(self, epoch: int) -> None:
        self._epoch, self._segments = epoch, ()
        self._has_begun, self._iteration, self._ended_length = False, None, None

    def _batches(self) -> Batches:
        of = self._seed, self._epoch
        if self._made is None or self._made[0] != of:
            self._made = None  # not two epochs at a time
            self._made = of, self._make_batches()
        return self._made[1]

    def _split(self, ranks: int) -> tuple[Segments, int]:
        """Return the segments before the one that goes on, and how many batches that has given."""
        if self._segments and self._segments[-1][0] == ranks:
            return self._segments[:-1], self._segments[-1][1]
        return self._segments, 0

    def _rounds(self, before: Segments, ranks: int) -> BatchRounds:
        """Return the rounds of what some segments have left."""
        line: Numbers = np.arange(len(self._batches().starts), dtype=np.uint32)
        for number, (each, received) in enumerate(before):
            line = self._cut(line, each, number).remainder(received)
        return self._cut(line, ranks, len(before))

    def _cut(self, line: Numbers, ranks: int, number: int) -> BatchRounds:
        key = self._round_key()
        return BatchRounds(line, ranks, self._equalize, key and (*key, number))


def _segments_of(value: Any) -> Segments:
    try:
        return tuple(
            (whole_number("ranks", ranks, 1), whole_number("batches", batches, 1))
            for ranks, batches in value
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the state's segments {value!r:.80} are damaged: {error}") from error
