"""TrainerLoader and EvaluationLoader: Loaders that a Trainer iterates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from aisio.training.loader import Loader
from aisio.training.order.position import Position

__all__ = ["EvaluationLoader", "TrainerLoader"]


class _WithoutSampler(Loader):
    """A Loader that Lightning uses as it is.

    Lightning sets the epoch at a loader's sampler, and replaces the samplers of all loaders where
    `overfit_batches` is set. A loader without one it leaves alone.
    """

    @property
    def sampler(self) -> NoReturn:
        """There is none.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError(f"<{type(self).__name__}> has no sampler: it computes its order")

    @property
    def batch_sampler(self) -> NoReturn:
        """There is none.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError(f"<{type(self).__name__}> has no sampler: it computes its order")


class TrainerLoader(_WithoutSampler):
    """A Loader whose state is that of the training, where this differs from the Loader's.

    A batch that was not trained with yet is before the state: a checkpoint that is saved because a
    step failed does not skip it. An epoch that has ended lasts until another iteration begins: of
    loaders that are combined, a short one may have to wait for the others.

    Args:
        count_trained: Returns how many batches the model was trained with.
        arguments: Of `Loader`, by position.
        options: Of `Loader`, by name.
    """

    def __init__(self, count_trained: Callable[[], int], *arguments: Any, **options: Any) -> None:
        self._count_trained = count_trained
        self._trained_before = 0  # with how many batches, when the newest was received
        self._end_of_epoch: Position | None = None
        super().__init__(*arguments, **options)

    def __iter__(self) -> Iterator[Any]:
        self._end_of_epoch = None
        return _Counted(self, super().__iter__())

    def end_epoch(self) -> None:
        """See `Loader.end_epoch`."""
        super().end_epoch()
        self._end_of_epoch = None

    def state_dict(self) -> dict[str, Any]:
        """See `Loader.state_dict`."""
        position = self._end_of_epoch or self._position
        if self._has_begun and self._trained_before == self._count_trained():
            last = position.segments[-1]
            position = position.received(last.topology, last.batches - 1)
        return self._state_of(position)

    def count_received(self) -> None:
        """Remember when the newest batch was received."""
        self._trained_before = self._count_trained()

    def _move_to(self, position: Position, **options: bool) -> None:
        self._end_of_epoch = None
        super()._move_to(position, **options)

    def _end_epoch(self) -> None:
        end = self._position
        super()._end_epoch()
        self._end_of_epoch = end


class _Counted(Iterator[Any]):
    """An iteration that tells its loader of each batch.

    Args:
        loader: The loader.
        batches: Its iteration.
    """

    def __init__(self, loader: TrainerLoader, batches: Iterator[Any]) -> None:
        self._loader = loader
        self._batches = batches

    def __next__(self) -> Any:
        batch = next(self._batches)
        self._loader.count_received()
        return batch


class EvaluationLoader(_WithoutSampler):
    """A Loader each of whose passes is the same: its workers draw the same random numbers."""

    def __iter__(self) -> Iterator[Any]:
        self._move_to(self._position.at_epoch(0))
        return super().__iter__()
