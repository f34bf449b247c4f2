"""SelectedDataset: some items of a map-style dataset."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.limits import is_whole
from aisio.records import ObjectInfo
from aisio.summary import Summarized, counted
from aisio.training.map_words import MapWords
from aisio.training.sample_names import SampleInfos, SampleNames

try:
    from torch.utils.data import Dataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SelectedDataset"]


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
        count = len(dataset)
        self.indices: Sequence[int]
        # A range that crosses 0, or counts from the end, is made a list of numbers below.
        if isinstance(indices, range) and (not indices or min(indices[0], indices[-1]) >= 0):
            wrong = [index for index in (*indices[:1], *indices[-1:]) if index >= count]
            self.indices = indices
        else:
            # The truths of a tensor are numbers, unless they are made Python's.
            listed = indices.tolist() if hasattr(indices, "tolist") else list(indices)
            wrong = [one for one in listed if not _is_index(one, count)]
            self.indices = array("q", [] if wrong else [int(one) % count for one in listed])
        if wrong:
            raise ConfigError(f".select(): index {wrong[0]!r} of {count:,} items")
        if not len(self.indices):
            raise ConfigError(f".select(): none of {count:,} items is left")

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


def _info_of(infos: Sequence[ObjectInfo], indices: Sequence[int], index: int) -> ObjectInfo:
    return infos[indices[index]]


def _is_index(value: Any, count: int) -> bool:
    return is_whole(value, -count) and value < count and not isinstance(value, bool)


def _name_of(names: Sequence[str], indices: Sequence[int], index: int) -> str:
    return names[indices[index]]
