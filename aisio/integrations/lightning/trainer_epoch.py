"""TrainerEpoch: when the loaders of a training begin their next epoch, by the Trainer's progress.

Lightning's number of an epoch says only that it is another one. Where training is resumed at the
end of an epoch it may count that twice, and of loaders that are combined the short ones pass
through several epochs in one of the Trainer's.

Source:
    lightning 2.6: `pytorch/loops/fit_loop.py` and `training_epoch_loop.py`, whose attributes
    `epoch_progress`, `batch_progress`, `is_resuming` and `restarting` are used here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aisio.training.loader import Loader

__all__ = ["TrainerEpoch", "trained_batches"]

_log = logging.getLogger("aisio.lightning")


class TrainerEpoch:
    """The epoch of a Trainer that the loaders are in.

    Args:
        owner: Name of the data module's class, for the log.

    Attributes:
        number: Lightning's number of the epoch.
    """

    def __init__(self, owner: str) -> None:
        self.number = 0
        self._owner = owner
        self._is_restored = False  # in this fit
        self._is_new = False  # Lightning has not asked for the loaders since

    def begin(self, trainer: Any, loaders: Sequence[Loader]) -> None:
        """Go to where a Trainer begins to train."""
        self._is_restored = self._is_new = False
        self.number = _processed_epochs(trainer)
        for loader in loaders:
            loader.set_epoch(self.number)

    def restore(self, number: int) -> None:
        """Take over the number from the state of a data module, whose loaders are restored too."""
        self.number = number
        self._is_restored = self._is_new = True

    def follow(self, trainer: Any, loaders: Sequence[Loader]) -> None:
        """End the epoch of the loaders if the Trainer is in another one.

        It is called when Lightning asks for the loaders: for each epoch, and sometimes once more.
        """
        loop, is_new = trainer.fit_loop, self._is_new
        if is_new and not loop.is_resuming:
            return  # asked while the model is set up: the Trainer has not restored its progress yet
        if trainer.ckpt_path and loop.is_resuming and not self._is_restored:
            self.begin(trainer, loaders)
            self._is_restored = True
            _log.warning(
                "the checkpoint has no state of this %s: it was saved without one, or by a class of"
                " another name. Epoch %d begins at its first batch, unless Lightning restores the"
                " loaders itself",
                self._owner,
                self.number,
            )
        self._is_new = False
        number = _processed_epochs(trainer)
        if number == self.number:
            return
        self.number = number
        for loader in loaders:
            loader.end_epoch()
        if not is_new:
            _forget_batches(loop, max(map(len, loaders)))


def trained_batches(trainer: Any) -> int:
    """Return how many batches a Trainer has trained with, in all epochs."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.total.processed)


def _processed_epochs(trainer: Any) -> int:
    return int(trainer.fit_loop.epoch_progress.current.processed)


def _forget_batches(loop: Any, batches: int) -> None:
    """Have Lightning begin an epoch that comes behind one that was resumed at its last batch.

    It takes the batches of the epoch that has ended for the first ones of the next, unless that
    has as few.
    """
    epoch_loop = loop.epoch_loop
    if epoch_loop.restarting and epoch_loop.batch_progress.current.ready < batches:
        epoch_loop.restarting = False
