"""MapWords: `.map`, `.to_tuple`, `.select`, ... on map-style datasets, and what `.select` returns.

A `SelectedDataset` has these methods itself. So both classes are here: each needs the other.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.limits import is_whole
from aisio.records import ObjectInfo
from aisio.summary import Summarized, counted
from aisio.training.decoding import Decode
from aisio.training.item_decoding import DecodeItem
from aisio.training.sample_names import SampleInfos, SampleNames
from aisio.transforms.fields import MapDict, MapTuple, Rename, ToTuple
from aisio.transforms.functions import check_callable
from aisio.transforms.stages import count_of

try:
    from torch.utils.data import Dataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MapWords", "SelectedDataset", "require_own_items"]


def require_own_items(dataset: object, kind: type, word: str) -> None:
    """Refuse a subclass that makes its own items: a function would be called with others.

    Raises:
        ConfigError: It is one.
    """
    for method in ("__getitem__", "__getitems__"):
        if getattr(type(dataset), method) is not getattr(kind, method):
            raise ConfigError(
                f"<{type(dataset).__name__}> .{word}(): the class has a {method} of its own, which"
                f" makes its items: call the function there, or use {kind.__name__}"
            )


class MapWords:
    """What may be done to the items of a map-style dataset: each returns another dataset.

    Nothing is read before an item is. Functions are called in the process that reads the item. The
    dataset itself is not changed; what was read counts in the `stats()` of both.
    """

    @abstractmethod
    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """Return this dataset with a function that is called with each item."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    def map(self, function: Callable[[Any], Any]) -> Self:
        """Call a function with each item; its result takes the item's place."""
        check_callable("map", function)
        return self.with_function("map", function)

    def decode(self, decode: Decode) -> Self:
        """Decode fields, or objects, by their extensions; see `IterWords.decode`."""
        return self.with_function("decode", DecodeItem(decode, type(self).__name__))

    def to_tuple(self, *fields: str, allow_empty: bool = False) -> Self:
        """Make tuples of some fields of the samples; see `IterWords.to_tuple`."""
        return self.with_function("to_tuple", ToTuple(fields, allow_empty))

    def rename(self, **names: str) -> Self:
        """Give fields other names, as in `rename(image="jpg;png", label="cls")`."""
        return self.with_function("rename", Rename(names))

    def map_dict(self, **functions: Callable[[Any], Any]) -> Self:
        """Call functions with fields of the samples, as in `map_dict(cls=int)`."""
        return self.with_function("map_dict", MapDict(functions))

    def map_tuple(self, *functions: Callable[[Any], Any]) -> Self:
        """Call functions with the values of tuples, one each."""
        return self.with_function("map_tuple", MapTuple(functions))

    def select(self, indices: Iterable[int]) -> SelectedDataset:
        """Keep the items at some indices, in their order; they may come several times."""
        if callable(indices):
            self._refuse(
                "select",
                "takes indices, as Hugging Face's does; webdataset's takes a function, see filter",
            )
        return SelectedDataset(self, indices)

    def slice(self, *positions: int | None) -> SelectedDataset:
        """Keep the items at some positions: stop, or start and stop, or these and step."""
        if not 1 <= len(positions) <= 3:
            raise ConfigError(".slice() takes stop, or start and stop, or start, stop and step")
        return self.select(range(len(self))[slice(*positions)])

    def take(self, count: int) -> SelectedDataset:
        """Keep the first items."""
        return self.slice(count_of("count", count, 0))

    def skip(self, count: int) -> SelectedDataset:
        """Leave the first items out."""
        return self.slice(count_of("count", count, 0), None)

    def shuffle(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the order is the loader's.

        Raises:
            ConfigError: Always.
        """
        self._refuse(
            "shuffle",
            "is not needed, as it is read by index, in any order: aisio.Loader(dataset,"
            " shuffle=True, seed=0) shuffles all of it, in another order in each epoch, and holds"
            " no buffer; so does torch's DataLoader(shuffle=True)",
        )

    def batch(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the loader makes batches.

        Raises:
            ConfigError: Always.
        """
        self._refuse("batch", "is the loader's: aisio.Loader(dataset, batch_size=32)")

    batched = batch

    def filter(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: its length would not be known before all of it was read.

        Raises:
            ConfigError: Always.
        """
        self._refuse(
            "filter",
            "would have to read all of it for its length: choose by what is known without, as in"
            ' .select([i for i, name in enumerate(dataset.names) if name.startswith("cat/")]), or'
            " aisio.Loader(dataset, skip=names); AISIterDataset and AISShardReader have .filter()",
        )

    def repeat(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: epochs are the loader's.

        Raises:
            ConfigError: Always.
        """
        self._refuse("repeat", "is the loader's: each `for` over it is an epoch")

    def _refuse(self, word: str, why: str) -> NoReturn:
        raise ConfigError(f"<{type(self).__name__}> .{word}() {why}")


class SelectedDataset(Summarized, MapWords, Dataset[Any]):
    """The items at some indices of a dataset, in the order of these.

    It takes 8 bytes an item, and none where they are a range.

    Args:
        dataset: A map-style dataset of aisio.
        indices: The indices, from 0; negative ones count from the end.

    Attributes:
        dataset: As given.
        indices: As given, none below 0.

    Raises:
        ConfigError: There is none, or one is no whole number or beyond the end.
    """

    def __init__(self, dataset: Any, indices: Iterable[int]) -> None:
        self.dataset = dataset
        self.indices = _checked_indices(indices, len(dataset))

    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """See `MapWords.with_function`."""
        return type(self)(self.dataset.with_function(word, function), self.indices)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {counted(len(self), 'item')}: {self.dataset!r}>"

    def _summary(self) -> Mapping[str, object]:
        return {"items": len(self), "of": repr(self.dataset)}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        try:
            number = self.indices[index]
        except IndexError:
            raise IndexError(f"index {index} of {len(self):,} selected items") from None
        return self.dataset[number]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the items at several indices, in their order; a DataLoader calls this."""
        items: list[Any] = self.dataset.__getitems__([self.indices[index] for index in indices])
        return items

    @property
    def names(self) -> Sequence[str]:
        """Names of the items, each looked up when it is asked for."""
        name_of = partial(_name_of, self.dataset.names, self.indices)
        return SampleNames(len(self), name_of)

    @property
    def infos(self) -> Sequence[ObjectInfo]:
        """What is known of the items without reading them; see the dataset's."""
        return SampleInfos(len(self), partial(_info_of, self.dataset.infos, self.indices))

    @property
    def sizes(self) -> Sequence[int]:
        """Sizes of the items in bytes; see the dataset's."""
        sizes = self.dataset.sizes
        return [int(sizes[index]) for index in self.indices]

    @cached_property
    def data_digest(self) -> str:
        """Identifies the items and their order, as that of the dataset does."""
        chosen = blake2b(array("q", self.indices).tobytes(), digest_size=8).hexdigest()
        return f"{self.dataset.data_digest} {len(self)} items {chosen}"

    def stats(self) -> dict[str, Any]:
        """Return where the time of all reads went; see the dataset's."""
        stats: dict[str, Any] = self.dataset.stats()
        return stats


def _checked_indices(indices: Iterable[int], count: int) -> Sequence[int]:
    """Return indices counted from the start: as a range where they are one, else as an array."""
    if isinstance(indices, range):
        listed: Sequence[Any] = indices
        checked = [*indices[:1], *indices[-1:]]  # the others lie between these
    else:
        # The truths of a tensor are numbers, unless they are made Python's.
        checked = listed = indices.tolist() if hasattr(indices, "tolist") else list(indices)
    if wrong := [one for one in checked if not _is_index(one, count)]:
        raise ConfigError(f".select(): index {wrong[0]!r} of {count:,} items")
    if not listed:
        raise ConfigError(f".select(): none of {count:,} items is left")
    if isinstance(listed, range) and min(checked) >= 0:
        return listed
    return array("q", (int(one) % count for one in listed))


def _info_of(infos: Sequence[ObjectInfo], indices: Sequence[int], index: int) -> ObjectInfo:
    return infos[indices[index]]


def _is_index(value: Any, count: int) -> bool:
    return is_whole(value, -count) and value < count and not isinstance(value, bool)


def _name_of(names: Sequence[str], indices: Sequence[int], index: int) -> str:
    return names[indices[index]]
