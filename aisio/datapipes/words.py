"""What `aisio.datapipes` adds to datapipes where torch has no such method.

torch core has map, filter, shuffle and batch, and these stay torch's; where torch has no datapipes,
those here take their places. torch has none of the others since torchdata dropped its datapipes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aisio.datapipes.torch_compat import IterDataPipe, functional_names
from aisio.transforms.fields import MapDict, MapTuple, Rename, ToTuple
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

__all__ = [
    "Batcher",
    "FieldMapper",
    "Filterer",
    "ItemRepeater",
    "ItemSkipper",
    "ItemSlicer",
    "ItemTaker",
    "Mapper",
    "SampleRenamer",
    "SampleTupler",
    "Shuffler",
    "TupleMapper",
]


class _StagePipe(IterDataPipe[Any]):
    """A datapipe that does what a stage does.

    It splits nothing, and positions are those of this process: put `sharding_filter()` where each
    worker is to have its own.

    Args:
        source_datapipe: What is read.
        stage: What is done.
    """

    def __init__(self, source_datapipe: Iterable[Any], stage: Stage) -> None:
        super().__init__()
        self.source_datapipe = source_datapipe
        self._stage = stage

    def __iter__(self) -> Iterator[Any]:
        yield from open_stages(lambda _: iter(self.source_datapipe), (self._stage,), 0, Place())


@functional_names("map")
class Mapper(_StagePipe):
    """Calls a function with each item; `map`."""

    def __init__(self, datapipe: Iterable[Any], fn: Callable[[Any], Any]) -> None:
        super().__init__(datapipe, Map("map", fn))


@functional_names("filter")
class Filterer(_StagePipe):
    """Leaves out the items for which a function returns something false; `filter`."""

    def __init__(self, datapipe: Iterable[Any], filter_fn: Callable[[Any], Any]) -> None:
        super().__init__(datapipe, Filter(filter_fn))


@functional_names("shuffle")
class Shuffler(IterDataPipe[Any]):
    """Permutes items within windows, which it holds; `shuffle`.

    The order is drawn by Python's `random`, which torch seeds anew in each worker and epoch.
    """

    def __init__(self, datapipe: Iterable[Any], buffer_size: int = 10000) -> None:
        super().__init__()
        self.source_datapipe = datapipe
        self._buffer_size = Shuffle(buffer_size, 0).buffer_size

    def __iter__(self) -> Iterator[Any]:
        stage = Shuffle(self._buffer_size, random.getrandbits(32))
        yield from open_stages(lambda _: iter(self.source_datapipe), (stage,), 0, Place())


@functional_names("batch")
class Batcher(_StagePipe):
    """Makes lists of so many items; `batch`."""

    def __init__(self, datapipe: Iterable[Any], batch_size: int, drop_last: bool = False) -> None:
        super().__init__(datapipe, Batch(batch_size, drop_last, list))


@functional_names("to_tuple")
class SampleTupler(_StagePipe):
    """Makes tuples of some fields of samples; `to_tuple`. See `IterWords.to_tuple`."""

    def __init__(self, datapipe: Iterable[Any], *fields: str, allow_empty: bool = False) -> None:
        super().__init__(datapipe, Map("to_tuple", ToTuple(fields, allow_empty)))


@functional_names("rename")
class SampleRenamer(_StagePipe):
    """Gives fields of samples other names; `rename`."""

    def __init__(self, datapipe: Iterable[Any], **names: str) -> None:
        super().__init__(datapipe, Map("rename", Rename(names)))


@functional_names("map_dict")
class FieldMapper(_StagePipe):
    """Calls functions with fields of samples; `map_dict`."""

    def __init__(self, datapipe: Iterable[Any], **functions: Callable[[Any], Any]) -> None:
        super().__init__(datapipe, Map("map_dict", MapDict(functions)))


@functional_names("map_tuple")
class TupleMapper(_StagePipe):
    """Calls functions with the values of tuples, one each; `map_tuple`."""

    def __init__(self, datapipe: Iterable[Any], *functions: Callable[[Any], Any]) -> None:
        super().__init__(datapipe, Map("map_tuple", MapTuple(functions)))


@functional_names("slice")
class ItemSlicer(_StagePipe):
    """Keeps items at some positions, given as to `itertools.islice`; `slice`."""

    def __init__(self, datapipe: Iterable[Any], *positions: int | None) -> None:
        super().__init__(datapipe, Slice.of(positions))


@functional_names("take")
class ItemTaker(_StagePipe):
    """Keeps the first items; `take`."""

    def __init__(self, datapipe: Iterable[Any], count: int) -> None:
        super().__init__(datapipe, Slice(0, count, 1))


@functional_names("skip")
class ItemSkipper(_StagePipe):
    """Leaves the first items out; `skip`."""

    def __init__(self, datapipe: Iterable[Any], count: int) -> None:
        super().__init__(datapipe, Slice(count, None, 1))


@functional_names("repeat")
class ItemRepeater(_StagePipe):
    """Reads all items several times; `repeat`."""

    def __init__(self, datapipe: Iterable[Any], times: int | None = None) -> None:
        super().__init__(datapipe, Repeat(times))
