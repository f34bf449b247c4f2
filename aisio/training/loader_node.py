"""LoaderNode: a Loader at the beginning of a pipeline of torchdata.nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aisio.errors import MissingExtraError
from aisio.training.loader import Loader

try:
    from torchdata.nodes import BaseNode
except ImportError as error:
    raise MissingExtraError(
        "this needs the package torchdata, which is not installed: pip install torchdata"
    ) from error

__all__ = ["LoaderNode"]


class LoaderNode(BaseNode[Any]):  # type: ignore[misc]  # torchdata has no types
    """Gives the batches of a Loader; each `reset()` behind a batch begins the next epoch.

    The state of the pipeline then holds that of the Loader, at the batch that the pipeline's last
    node gave: nodes behind it that read ahead, such as `Prefetcher`, count back what they hold. It
    is another state than the Loader's own, which is ahead by that much.

    Args:
        loader: What is read. Nobody else may iterate it.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self._loader = loader
        self._batches: Iterator[Any] = iter(())

    def reset(self, initial_state: dict[str, Any] | None = None) -> None:
        """Go to where a state was taken, or to the beginning of the next epoch.

        Raises:
            ConfigError: The state is not one of this Loader's data; see `Loader.load_state_dict`.
        """
        super().reset(initial_state)
        if initial_state is not None:
            self._loader.load_state_dict(initial_state)
        self._batches = iter(self._loader)

    def next(self) -> Any:
        """Return the next batch, or raise StopIteration at the end of the epoch."""
        return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """Return the Loader's state."""
        return self._loader.state_dict()
