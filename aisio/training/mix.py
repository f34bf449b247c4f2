"""mix(): several data sets as one, by weights; `Loader` reads it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.shards.names import ShardNames
from aisio.summary import Summarized
from aisio.training.object_datasets import AISMapDataset
from aisio.training.order.mix_line import MixLine, MixRule, OnEnd
from aisio.training.order.mix_position import MixTopology
from aisio.training.shard_dataset import AISShardDataset
from aisio.training.whole_number import whole_number

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["Mix", "MixedSamples", "mix"]


def mix(
    datasets: Mapping[Any, float] | Iterable[tuple[Any, float]],
    *,
    on_end: OnEnd = "stop",
    pack: int = 1,
) -> Mix:
    """Mix data sets by weights, for `aisio.Loader`.

    Of each stretch of an epoch, on each rank, each data set has its share: not on average, but to
    less than two samples. Where the weights are those of the state that a Loader goes on from, its
    samples come in the order of an unbroken run, with any number of ranks and workers. With other
    weights, the rest of the epoch is mixed by these, and no sample comes again that has come.

    Args:
        datasets: The weight of each data set, from 0: a mapping, or a list of pairs. A data set is
            a map-style dataset, of aisio or not; or what `aisio.source` takes. A source with
            objects that end as tar shards do becomes an `AISShardDataset`, any other an
            `AISMapDataset`; one with shards and objects that do not belong to shards is an error.
        on_end: What happens where a data set has no more samples. "stop" ends the epoch, before
            the first sample that would be needed. "repeat" begins it again, in another order if
            the Loader shuffles, until each data set has been read once. "drop" leaves it out, and
            the others share its weight, until all of them have been read.
        pack: How many neighbours of a data set stay together in its shuffled order. An
            `AISShardDataset` reads neighbours by one request, so more of them are read faster, and
            mixed less: for shards whose samples were shuffled when they were written. A state is of
            the same packs alone.

    Returns:
        The mix, of which the Loader takes `batch_size`, `shuffle`, `seed`, and so on.

    Raises:
        ConfigError: There is no data set, one of them is iterable or empty, or a weight or another
            argument cannot be meant.
        NotFoundError: A source has no object.
    """
    pairs = list(datasets.items() if isinstance(datasets, Mapping) else datasets)
    if not pairs or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ConfigError(
            "mix() needs data sets with their weights, as in {'ais://a/': 0.7, 'ais://b/': 0.3}"
        )
    checked = MixTopology(
        ranks=1,
        workers=1,
        batch_size=1,
        window=1,
        equalize="drop",
        weights=tuple(weight for _, weight in pairs),
        on_end=on_end,
    )
    pack = whole_number("pack", pack, 1)
    return Mix([_dataset_of(what) for what, _ in pairs], checked.rule, pack)


class _Form(NamedTuple):
    """What torch's default collate needs to be the same in all samples of a batch, and its text."""

    kinds: str | tuple[str, ...]
    text: str


class MixedSamples:
    """The samples of several datasets, numbered one dataset after the other; workers read these.

    Args:
        datasets: The datasets.
        alike: Samples of all of them go into one batch: the first ones of each are compared.
    """

    def __init__(self, datasets: Sequence[Any], *, alike: bool = False) -> None:
        self._datasets = datasets
        self._forms: dict[int, _Form] | None = {} if alike else None
        self.sizes = tuple(map(len, datasets))
        self._stops = list(accumulate(self.sizes))

    def __len__(self) -> int:
        return self._stops[-1]

    def locate(self, index: int) -> tuple[int, int]:
        """Return the number of the dataset that has a sample, and its index there."""
        number = bisect_right(self._stops, index)
        return number, index - self._stops[number] + self.sizes[number]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return samples in their order; each dataset is asked once for all of its own."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for place, index in enumerate(indices):
            number, own = self.locate(index)
            wanted.setdefault(number, []).append((place, own))
        items: list[Any] = [None] * len(indices)
        for number, pairs in wanted.items():
            found = _read(self._datasets[number], [own for _, own in pairs])
            if len(found) != len(pairs):
                raise ConfigError(
                    f"data set {number} of the mix gave {len(found)} of {len(pairs)} samples: one"
                    " that skips samples cannot be mixed"
                )
            if len(indices) > 1:
                self._check_form(number, found[0])
            for (place, _), item in zip(pairs, found, strict=True):
                items[place] = item
        return items

    def _check_form(self, number: int, item: Any) -> None:
        """Compare the first sample of a dataset with that of another one.

        torch's default collate takes texts beside tensors, and returns them as they are.
        """
        if self._forms is None or number in self._forms:
            return
        form = _form(item)
        for other, known in self._forms.items():
            if known.kinds != form.kinds:
                (first, one), (second, two) = sorted([(number, form), (other, known)])
                raise ConfigError(
                    f"data set {first} of the mix gives {one.text}, and data set {second}"
                    f" {two.text}: make these alike by .map(), .decode() or .to_tuple(), or pass a"
                    " collate_fn that takes both"
                )
        # Last: whoever catches the error and asks again gets it again.
        self._forms[number] = form


class Mix(Summarized):
    """Data sets and their weights; see `mix`.

    `aisio.Loader` reads it: another loader would read the data sets one after the other.

    Args:
        datasets: Map-style datasets.
        rule: How they are mixed.
        pack: How many neighbours stay together.

    Attributes:
        datasets: As given.
        weights: Their weights.
        on_end: What happens where one of them has no more samples.
        pack: How many neighbours stay together.
        samples: The samples of all, as the Loader's workers read them.
    """

    def __init__(self, datasets: Sequence[Any], rule: MixRule, pack: int = 1) -> None:
        self.pack = pack
        self.datasets = tuple(datasets)
        self.weights, self.on_end = rule
        self.samples = MixedSamples(self.datasets)

    def __repr__(self) -> str:
        pairs = zip(self.datasets, self.weights, strict=True)
        parts = ", ".join(f"{type(dataset).__name__}: {weight:g}" for dataset, weight in pairs)
        return f"mix({{{parts}}}, on_end={self.on_end!r})"

    def _summary(self) -> Mapping[str, object]:
        pairs = zip(map(repr, self.datasets), self.weights, strict=True)
        rows = {
            f"{number}: {dataset}": f"{weight:g}" for number, (dataset, weight) in enumerate(pairs)
        }
        return {"data set": "weight", **rows, "on_end": self.on_end}

    def __len__(self) -> int:
        """Return the number of samples of all data sets, whatever their weights."""
        return len(self.samples)

    @property
    def epoch_samples(self) -> int:
        """Number of samples of an epoch, before a Loader makes ranks equal."""
        return len(MixLine(self.samples.sizes, MixRule(self.weights, self.on_end)))

    @property
    def epoch_counts(self) -> tuple[int, ...]:
        """How many samples of an epoch are of each data set."""
        line = MixLine(self.samples.sizes, MixRule(self.weights, self.on_end))
        return line.drawn(len(line))

    @cached_property
    def data_digest(self) -> str:
        """Identifies the samples of all data sets, and their order; not the weights."""
        digest = blake2b(digest_size=16)
        for dataset in self.datasets:
            own = getattr(dataset, "data_digest", "")
            digest.update(f"{len(dataset)} {own}\n".encode())
        return f"{len(self.datasets)} data sets {digest.hexdigest()}"

    def locate(self, index: int) -> tuple[int, int]:
        """Return the number of a sample's data set, and its index there.

        `Loader.samples_of` returns indices of a mix.

        Raises:
            IndexError: There is no such sample.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self):,} samples")
        return self.samples.locate(index)

    def __getitem__(self, index: int) -> NoReturn:
        raise ConfigError(
            "aisio.Loader reads a mix, as in Loader(mix, batch_size=32): by its index alone, a"
            " sample would come whatever the weights are; mix.datasets has the data sets"
        )


def _form(item: Any) -> _Form:
    """Return the form of a sample, or of its values if it is a tuple or list."""
    if isinstance(item, tuple | list):
        return _Form(tuple(map(_kind, item)), f"({', '.join(type(one).__name__ for one in item)})")
    return _Form(_kind(item), type(item).__name__)


def _kind(value: Any) -> str:
    """Return what torch's default collate does not tell apart, or does not make a tensor of."""
    return "str" if isinstance(value, str) else "bytes" if isinstance(value, bytes) else ""


def _read(dataset: Any, indices: list[int]) -> list[Any]:
    read_many = getattr(dataset, "__getitems__", None)
    items: list[Any] = read_many(indices) if read_many else [dataset[one] for one in indices]
    return items


def _dataset_of(what: Any) -> Any:
    if isinstance(what, Mix):
        raise ConfigError("a mix cannot be mixed: give all data sets to one, with their weights")
    if isinstance(what, IterableDataset):
        raise ConfigError(
            "mix() needs data sets that are read by index, as AISShardDataset and AISMapDataset,"
            f" and {type(what).__name__} is iterable"
        )
    has_index = hasattr(what, "__getitem__") and hasattr(what, "__len__")
    if not has_index or isinstance(what, (str, bytes, list, tuple)):
        return _dataset_of_source(what)
    if not len(what):
        raise ConfigError(f"{type(what).__name__} has no sample to mix")
    return what


def _dataset_of_source(source: Any) -> AISMapDataset | AISShardDataset:
    objects, is_shard = AISMapDataset(source), ShardNames()
    if not any(map(is_shard, objects.names)):
        return objects
    others = (name for name in objects.names if not is_shard(name) and not is_shard.kind_of(name))
    if (other := next(others, None)) is not None:
        raise ConfigError(
            f"mix(): {source!r:.200} has tar shards and other objects, such as {one_line(other)!r}:"
            " give AISShardDataset of it to read samples of the shards, or AISMapDataset to read"
            " objects"
        )
    return AISShardDataset(source)
