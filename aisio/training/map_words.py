"""MapWords: `.map`, `.to_tuple`, `.select`, ... on map-style datasets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from aisio.errors import ConfigError
from aisio.training.decoding import Decode
from aisio.training.item_decoding import DecodeItem
from aisio.transforms.fields import MapDict, MapTuple, Rename, ToTuple
from aisio.transforms.functions import check_callable
from aisio.transforms.stages import count_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from aisio.training.selected_dataset import SelectedDataset

__all__ = ["MapWords", "require_own_items"]


def require_own_items(dataset: object, kind: type, word: str) -> None:
    """Refuse a subclass that makes its own items: a function would be called with others.

    Raises:
        ConfigError: It is one.
    """
    own, usual = (getattr(one, "__getitem__", None) for one in (type(dataset), kind))
    if own is not usual:
        raise ConfigError(
            f"<{type(dataset).__name__}> .{word}(): the class has a __getitem__ of its own, which"
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
        from aisio.training.selected_dataset import SelectedDataset

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
