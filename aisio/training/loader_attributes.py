"""What tools look for at a DataLoader, as far as a Loader has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.summary import Summarized
from aisio.training.workers.batch_reader import BatchReader

try:
    from torch.utils.data import default_collate
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["LoaderAttributes", "LoaderSampler"]

_log = logging.getLogger("aisio.loader")


class LoaderAttributes(Summarized):
    """The base of Loader with the attributes of torch's DataLoader that trainers read.

    Attributes:
        dataset: What is read.
    """

    dataset: Any
    _reader: BatchReader

    def __len__(self) -> int:
        """Return the number of batches."""
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        raise NotImplementedError

    @property
    def sampler(self) -> LoaderSampler:
        """Takes `set_epoch`, for trainers that call it there, as Lightning does."""
        return LoaderSampler(self.set_epoch, self.__len__)

    @property
    def batch_sampler(self) -> LoaderSampler:
        """The same as `sampler`."""
        return self.sampler

    @property
    def num_workers(self) -> int:
        """Number of worker processes."""
        return int(self._option("num_workers", 0))

    @property
    def prefetch_factor(self) -> int | None:
        """How many batches each worker reads ahead; None without workers."""
        ahead: int | None = self._option("prefetch_factor", 2 if self.num_workers else None)
        return ahead

    @property
    def persistent_workers(self) -> bool:
        """Whether the workers of an epoch read the next one too."""
        return bool(self._option("persistent_workers", False))

    @property
    def pin_memory(self) -> bool:
        """Whether batches are copied into pinned memory."""
        return bool(self._option("pin_memory", False))

    @property
    def collate_fn(self) -> Any:
        """What makes a batch of samples."""
        return self._option("collate_fn", default_collate)

    def _option(self, name: str, default: Any) -> Any:
        value = self._reader.options.get(name)
        return default if value is None else value

    @property
    def worker_init_fn(self) -> Any:
        """There is none, so that no tool copies a Loader into a DataLoader of its own.

        Ray's prepare_data_loader would, with a sampler of its own.

        Raises:
            AttributeError: Always, with what to do.
        """
        raise AttributeError(
            "a tool would copy aisio's Loader into a DataLoader, and read without the Loader: leave"
            " out the call that prepares it (Ray: prepare_data_loader); it splits over ranks itself"
        )


class LoaderSampler:
    """Takes the number of the epoch, which trainers set here.

    It gives no indices, so no tool can cut or split the batches of a Loader behind its back.

    Args:
        set_epoch: The Loader's method.
        count_batches: Returns the Loader's length.
    """

    def __init__(self, set_epoch: Callable[[int], None], count_batches: Callable[[], int]) -> None:
        self._set_epoch = set_epoch
        self._count_batches = count_batches

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch, as `Loader.set_epoch` does.

        Lightning counts the batches once, before it says the epoch here. After a restart on other
        ranks or batches that number is of the epoch that was resumed, which a warning says.
        """
        before = self._count_batches()
        self._set_epoch(epoch)
        after = self._count_batches()
        if after != before:
            _log.warning(
                "epoch %d has %d batches, and the one that was resumed on other ranks or batches"
                " had %d: Lightning stops at that number in each epoch, unless it has"
                " reload_dataloaders_every_n_epochs=1 and states that were saved after end_epoch()",
                epoch,
                after,
                before,
            )

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
