"""Batches that a pipeline makes, which a DataLoader must not batch once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from aisio.errors import ConfigError
from aisio.extras import missing_extra

try:
    from torch.utils.data import default_collate
    from torch.utils.data._utils.collate import default_collate_fn_map
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["MadeBatch", "MadeBatchFields", "MadeBatchTuple", "MakeBatch"]


class MadeBatch(list[Any]):
    """A list that is a batch."""


class MadeBatchTuple(tuple[Any, ...]):
    """A tuple that is a batch."""

    __slots__ = ()


class MadeBatchFields(dict[Any, Any]):
    """A dict that is a batch."""


class MakeBatch:
    """Makes a batch of a list of items.

    Args:
        collate_fn: Makes one of them; None leaves the list as it is.

    Attributes:
        collate_fn: As given.
    """

    def __init__(self, collate_fn: Callable[[list[Any]], Any] | None) -> None:
        self.collate_fn = collate_fn

    def __call__(self, items: list[Any]) -> Any:
        """Return the batch."""
        batch = items if self.collate_fn is None else self.collate_fn(items)
        made = _MADE.get(type(batch))
        return batch if made is None else made(batch)


def _refuse(batches: Any, *, collate_fn_map: Any = None) -> NoReturn:
    raise ConfigError(
        "the DataLoader makes batches of batches, as .batch() has made some: use"
        " DataLoader(..., batch_size=None), or leave .batch() out"
    )


_MADE: dict[type, type] = {list: MadeBatch, tuple: MadeBatchTuple, dict: MadeBatchFields}
# torch's default collate looks here for how to collate items of a class.
default_collate_fn_map.update(dict.fromkeys(_MADE.values(), _refuse))
DEFAULT_COLLATE: Callable[[list[Any]], Any] = default_collate
