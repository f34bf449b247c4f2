"""sizes_of(): how large each sample of a dataset is, without a request."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from aisio.errors import ConfigError
from aisio.extras import missing_extra

try:
    import numpy as np
    from numpy.typing import NDArray
    from torch.utils.data import Subset
except ImportError as error:
    raise missing_extra(error.name or "numpy", "torch") from error

__all__ = ["Sizes", "sizes_of"]

Sizes: TypeAlias = "Sequence[int] | NDArray[Any] | Callable[[int], int]"
"""Sizes of the samples in their order, in any unit; or a function from an index to a size."""


def sizes_of(dataset: Any, sizes: Sizes | None = None) -> NDArray[np.int64]:
    """Return the size of each sample.

    Args:
        dataset: A map-style dataset.
        sizes: The sizes. Without them the dataset's attribute `sizes`; or, of a dataset of the
            official `aistore.pytorch`, the sizes of the objects that it has listed; a Subset has
            those of its dataset.

    Raises:
        ConfigError: Sizes are not known, there are more or fewer than samples, or one is no whole
            number from 0 on.
    """
    found = np.asarray(_found(dataset, sizes))
    if found.shape != (len(dataset),) or (len(found) and found.dtype.kind not in "iu"):
        raise ConfigError(
            f"sizes= of {type(dataset).__name__}: a whole number for each of its"
            f" {len(dataset):,} samples is needed, and it is an array of {found.dtype},"
            f" {found.shape}"
        )
    array = np.ascontiguousarray(found, np.int64)
    if len(array) and array.min() < 0:
        index = int(array.argmin())
        raise ConfigError(f"sizes[{index}] is {array[index]}: 0 or more is needed")
    return array


def _found(dataset: Any, sizes: Sizes | None) -> Any:
    if callable(sizes):
        return _collected(map(sizes, range(len(dataset))), len(dataset))
    if sizes is not None:
        return sizes
    if isinstance(dataset, Subset):
        return sizes_of(dataset.dataset)[np.asarray(dataset.indices, np.int64)]
    if hasattr(dataset, "sizes"):
        return dataset.sizes
    if hasattr(dataset, "get_obj_list"):
        objects = dataset.get_obj_list()
        return _collected((one.props_cached.size for one in objects), len(objects))
    raise ConfigError(
        f"{type(dataset).__name__} does not tell how large its samples are: pass sizes=, an array"
        " or a function from an index to a size, or give it an attribute `sizes`"
    )


def _collected(sizes: Iterable[Any], count: int) -> NDArray[np.int64]:
    try:
        return np.fromiter(map(operator.index, sizes), np.int64, count)
    except (TypeError, OverflowError) as error:
        raise ConfigError(f"a size is no whole number: {error}") from error
