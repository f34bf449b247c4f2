"""What tools look for at the samplers of a DataLoader, as far as a Loader has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from aisio.errors import ConfigError

__all__ = ["LoaderSampler"]


class LoaderSampler:
    """Takes the number of the epoch, which trainers set here.

    It gives no indices, so no tool can cut or split the batches of a Loader behind its back.

    Args:
        set_epoch: The Loader's method.
    """

    def __init__(self, set_epoch: Callable[[int], None]) -> None:
        self.set_epoch = set_epoch

    def __iter__(self) -> Iterator[NoReturn]:
        """Refuse it: whoever reads by the indices of a sampler reads without the Loader.

        Raises:
            ConfigError: Always, with what to do.
        """
        raise ConfigError(
            "a tool would read the batches of aisio's Loader without the Loader. To go on in the"
            " middle of an epoch, load the Loader's state, in place of skip_first_batches (Hugging"
            " Face's Trainer: ignore_data_skip=True); to split over ranks, see ranks="
        )

    def __len__(self) -> NoReturn:
        raise TypeError(f"<{type(self).__name__}> gives no indices: ask the Loader for its length")
