"""SplitOptions: what divides an iterable dataset among ranks and workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from aisio.errors import ConfigError
from aisio.training.loader_ranks import Ranks
from aisio.training.order.cut import Equalize, require_equalize

__all__ = ["Equalize", "Ranks", "Split", "SplitOptions"]

Split: TypeAlias = Literal["rank+worker", "worker", "none"]
"""What divides a dataset: ranks and their workers; the workers of each rank, where each rank reads
all, as with ranks=None; or nothing, where each worker reads all."""


@dataclass(frozen=True)
class SplitOptions:
    """What divides a dataset, as its arguments say.

    Attributes:
        split: See `Split`.
        ranks: See `Ranks`.
        equalize: "drop" leaves out fewer items than there are ranks, so that all ranks have as
            many; "pad" repeats as few. "none" does neither.

    Raises:
        ConfigError: There is no such split or equalize, or `split` leaves no ranks to choose.
    """

    split: Split = "rank+worker"
    ranks: Ranks = "auto"
    equalize: Equalize = "none"

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise ConfigError(f'split={self.split!r}: "rank+worker", "worker" or "none" is needed')
        require_equalize(self.equalize)
        if self.split == "rank+worker":
            return
        if self.ranks is not None and self.ranks != "auto":
            raise ConfigError(
                f"split={self.split!r} does not split over ranks, so ranks={self.ranks!r} has no"
                " meaning: leave one of them out"
            )
        object.__setattr__(self, "ranks", None)
