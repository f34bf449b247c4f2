"""IterPipeline: an iterable dataset and what is done to its items; `.map`, `.shuffle`, `.batch`.

Names and the order of arguments are those of webdataset, torch's datapipes and Hugging Face's
datasets, where these agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.summary import Summarized
from aisio.training.begun_epochs import BegunEpochs
from aisio.training.decoding import Decode
from aisio.training.item_decoding import DecodeItem
from aisio.training.made_batch import DEFAULT_COLLATE, MakeBatch
from aisio.training.split import Partition
from aisio.training.whole_number import whole_number
from aisio.transforms.fields import MapDict, MapTuple, Rename, ToTuple
from aisio.transforms.iterations import load_state, state_of
from aisio.transforms.stages import (
    Batch,
    Filter,
    Map,
    Place,
    Repeat,
    Shuffle,
    Slice,
    Stage,
    open_stages,
)

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from aisio.training.shared_epoch import SharedEpoch

__all__ = ["IterPipeline", "IterWords", "PipelineSource"]

_VERSION = 1
_NEEDS_ITEMS = frozenset(("decode", "to_tuple", "rename", "map_dict", "map_tuple", "batch"))


class PipelineSource(Protocol):
    """A dataset that a pipeline begins with."""

    @property
    def shuffles(self) -> str:
        """What `at_epoch` puts in a random order: "object", "shard" or ""."""

    @property
    def shared_epoch(self) -> SharedEpoch | None:
        """The epoch that decides which process reads what; None where no epoch does.

        Processes that counted for themselves could differ, and miss items or read them twice.
        """

    def __len__(self) -> int:
        """Return its `length=`."""

    def __iter__(self) -> Iterator[Any]:
        """Begin an iteration."""

    def partition(self) -> Partition:
        """Return which part of the job this process does."""

    def at_epoch(self, epoch: int, seed: int | None) -> PipelineSource:
        """Return the dataset in the order of an epoch; a seed shuffles what each process reads."""

    def stats(self) -> dict[str, Any]:
        """Return where the time of all epochs so far went."""


class IterWords:
    """What may be done to the items of an iterable dataset: each returns an `IterPipeline`.

    Nothing is read before an iteration. Each worker of a DataLoader does it to what it reads, so
    which rank and which worker reads what stays as it is. The dataset itself is not changed.
    """

    def _pipeline(self) -> IterPipeline:
        return IterPipeline(self)

    def map(self, function: Callable[[Any], Any]) -> IterPipeline:
        """Call a function with each item; its result takes the item's place."""
        return self._pipeline()._with_stage(Map("map", function))

    def filter(self, predicate: Callable[[Any], Any]) -> IterPipeline:
        """Leave out the items for which a function returns something false."""
        return self._pipeline()._with_stage(Filter(predicate))

    def select(self, predicate: Callable[[Any], Any]) -> IterPipeline:
        """Call it `filter`: this is webdataset's name of the same."""
        return self.filter(predicate)

    def shuffle(self, buffer_size: int = 1000, *, seed: int = 0) -> IterPipeline:
        """Shuffle what each worker reads, in another order in each epoch.

        Directly behind an `AISIterDataset`, it shuffles the listing: each worker reads all of its
        objects in a random order, and holds none for that. Directly behind an `AISShardReader`, it
        shuffles the worker's shards, and the samples of windows; elsewhere, windows alone.

        Args:
            buffer_size: Number of items of a window. They are held, and come in a random order
                before those of the next window.
            seed: Chooses the orders, together with the number of the epoch; see
                `IterPipeline.set_epoch`.
        """
        return self._pipeline()._shuffled(Shuffle(buffer_size, seed))

    def batch(
        self,
        batch_size: int,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = DEFAULT_COLLATE,
    ) -> IterPipeline:
        """Make batches, in the workers; the DataLoader is then given batch_size=None.

        Args:
            batch_size: Number of items of a batch.
            drop_last: Leave out a worker's last batch, if it is not full.
            collate_fn: Makes a batch of a list of items; None leaves the list.
        """
        return self._pipeline()._with_stage(Batch(batch_size, drop_last, MakeBatch(collate_fn)))

    def batched(self, batchsize: int, **options: Any) -> IterPipeline:
        """Call it `batch`: this is webdataset's name of the same."""
        return self.batch(batchsize, **options)

    def decode(self, decode: Decode) -> IterPipeline:
        """Decode fields, or objects, by their extensions; see `aisio.training.decoding`.

        An empty field becomes None. What has no decoder stays bytes.

        Args:
            decode: "torch", "numpy" or "pil", which says what images become; or a mapping of
                extensions to decoders.
        """
        pipeline = self._pipeline()
        owner = type(pipeline.dataset).__name__
        return pipeline._with_stage(Map("decode", DecodeItem(decode, owner)))

    def to_tuple(self, *fields: str, allow_empty: bool = False) -> IterPipeline:
        """Make tuples of some fields of the samples.

        Args:
            *fields: Their names: "jpg;png" is the first of these that a sample has, "__key__" its
                name.
            allow_empty: Give empty fields; they are otherwise an error, as those that a sample
                lacks are empty too.
        """
        return self._pipeline()._with_stage(Map("to_tuple", ToTuple(fields, allow_empty)))

    def rename(self, **names: str) -> IterPipeline:
        """Give fields other names, as in `rename(image="jpg;png", label="cls")`."""
        return self._pipeline()._with_stage(Map("rename", Rename(names)))

    def map_dict(self, **functions: Callable[[Any], Any]) -> IterPipeline:
        """Call functions with fields of the samples, as in `map_dict(cls=int)`."""
        return self._pipeline()._with_stage(Map("map_dict", MapDict(functions)))

    def map_tuple(self, *functions: Callable[[Any], Any]) -> IterPipeline:
        """Call functions with the values of tuples, one each."""
        return self._pipeline()._with_stage(Map("map_tuple", MapTuple(functions)))

    def slice(self, *positions: int | None) -> IterPipeline:
        """Keep the items at some positions, given as to `itertools.islice`.

        They count over all ranks and workers together: the n-th item of a process is at the
        position first + n * step, if the process reads every step-th item.
        """
        return self._pipeline()._with_stage(Slice.of(positions))

    def take(self, count: int) -> IterPipeline:
        """Keep the first items: so many of all ranks and workers together; see `slice`."""
        return self.slice(count)

    def skip(self, count: int) -> IterPipeline:
        """Leave the first items out: so many of all ranks and workers together; see `slice`."""
        return self.slice(count, None)

    def repeat(self, times: int | None = None) -> IterPipeline:
        """Read all items several times, in another order each time if they are shuffled before.

        Args:
            times: How often; None for no end.
        """
        return self._pipeline()._with_stage(Repeat(times))


class IterPipeline(Summarized, IterWords, IterableDataset[Any]):
    """What is done to the items of a dataset, one stage after the other.

    Its iterations have `state_dict()` and `load_state_dict()`, as torchdata's StatefulDataLoader
    uses them: the rest of an epoch comes exactly, with the same ranks and workers.

    Each iteration of a worker is the next epoch, from 0; see `set_epoch`. Over a tar with
    `shuffle=True`, where the epoch decides who reads what, it is the epoch that was set, or 0.

    Args:
        dataset: What is read: a `PipelineSource`.
        stages: What is done.
        seed: Shuffles what each process reads; None leaves it in its order.
        length: What `len()` returns; None for that of the dataset, if it has one.

    Attributes:
        dataset: As given.
        stages: As given.
    """

    def __init__(
        self,
        dataset: Any,
        stages: tuple[Stage, ...] = (),
        *,
        seed: int | None = None,
        length: int | None = None,
    ) -> None:
        super().__init__()
        self.dataset: PipelineSource = dataset
        self.stages = stages
        self._seed = seed
        self._length = length
        self._epochs = BegunEpochs()

    def __repr__(self) -> str:
        return ".".join([type(self.dataset).__name__, *self._words()])

    def _summary(self) -> Mapping[str, object]:
        return {"dataset": repr(self.dataset), "stages": ".".join(self._words())}

    def _words(self) -> list[str]:
        """Return what is done, in words."""
        first = [] if self._seed is None else [f"shuffle({self.dataset.shuffles}s, {self._seed})"]
        return [*first, *map(str, self.stages)]

    def _pipeline(self) -> IterPipeline:
        return self

    def _with_stage(self, stage: Stage) -> IterPipeline:
        """Return this pipeline with one stage more.

        Raises:
            ConfigError: The stage is for single items, and those before it make batches.
        """
        has_batches = any(isinstance(one, Batch) for one in self.stages)
        word = stage.word if isinstance(stage, Map) else type(stage).__name__.lower()
        if has_batches and word in _NEEDS_ITEMS:
            raise ConfigError(
                f"{self!r}: .{word}() is for items, and these are batches: call it before"
            )
        length = self._length if _keeps_number(stage) else None
        return self._with((*self.stages, stage), self._seed, length)

    def _shuffled(self, stage: Shuffle) -> IterPipeline:
        """Return this pipeline with its items shuffled; see `IterWords.shuffle`."""
        if self.stages or self._seed is not None or not self.dataset.shuffles:
            return self._with_stage(stage)
        windows = () if self.dataset.shuffles == "object" else (stage,)
        return self._with(windows, stage.seed, self._length)

    def with_length(self, length: int) -> IterPipeline:
        """Return this pipeline with a length for `len()`, which `map`, `shuffle`, ... keep."""
        return self._with(self.stages, self._seed, whole_number("length", length, 0))

    def _with(
        self, stages: tuple[Stage, ...], seed: int | None, length: int | None
    ) -> IterPipeline:
        return IterPipeline(self.dataset, stages, seed=seed, length=length)

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        """Return what `with_length` was given, or the dataset's `length=`.

        Raises:
            TypeError: There is no length, or a stage has changed the number of items.
        """
        if self._length is not None:
            return self._length
        if not all(map(_keeps_number, self.stages)):
            raise TypeError(f"{self!r} has no length: with_length() gives it one")
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration be of this epoch; those behind it count on from there.

        Call it on every rank. Running workers of a DataLoader see it too. Over a tar with
        `shuffle=True` it is the dataset's own `set_epoch`, and nothing counts on.

        Raises:
            ConfigError: It is no whole number from 0 on.
        """
        (self.dataset.shared_epoch or self._epochs).set(epoch)

    def stats(self) -> dict[str, Any]:
        """Return where the time of the dataset's epochs went; see its `stats`."""
        return self.dataset.stats()

    def __iter__(self) -> Iterator[Any]:
        return _Iteration(self, self.dataset.partition(), self._epochs)

    def _begin_epoch(self) -> int:
        """Return the number of the epoch that an iteration of this process is of."""
        shared = self.dataset.shared_epoch
        return self._epochs.begin() if shared is None else shared.get()

    def _open(self, epoch: int, place: Place) -> Iterator[Any]:
        """Begin an epoch."""

        def open_dataset(number: int) -> Iterator[Any]:
            return iter(self.dataset.at_epoch(number, self._seed))

        return open_stages(open_dataset, self.stages, epoch, place)


def _keeps_number(stage: Stage) -> bool:
    """Return whether as many items leave a stage as enter it."""
    return isinstance(stage, (Map, Shuffle))


class _Iteration(Iterator[Any]):
    """An epoch of a pipeline, on one worker."""

    def __init__(self, pipeline: IterPipeline, partition: Partition, epochs: BegunEpochs) -> None:
        self._pipeline = pipeline
        self._place = Place(partition.first, partition.step)
        self._epochs = epochs
        self._open(pipeline._begin_epoch())

    def _open(self, epoch: int) -> None:
        self._epoch = epoch
        self._items = self._pipeline._open(epoch, self._place)

    def __next__(self) -> Any:
        return next(self._items)

    def close(self) -> None:
        """End the iteration, and release its connections."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands, as JSON's types."""
        return {
            "version": _VERSION,
            "epoch": self._epoch,
            "stages": self._pipeline._words(),
            "upstream": state_of(self._items),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the iteration of the same rank and worker stood.

        Raises:
            ConfigError: The state is of another pipeline, rank or worker, of other data, of a newer
                version, or damaged.
        """
        version = whole_number("the state's version", state.get("version"), 1)
        words = self._pipeline._words()
        if version > _VERSION:
            raise ConfigError(f"the state has version {version}, of a newer aisio: update aisio")
        if state.get("stages") != words:
            raise ConfigError(
                f"the state is of another pipeline: it has {state.get('stages')!r:.200}, and this"
                f" one {words!r:.200}"
            )
        epoch = whole_number("epoch", state.get("epoch"), 0)
        self.close()
        self._open(epoch)
        load_state(self._items, state.get("upstream"))
        self._epochs.continue_from(epoch)
