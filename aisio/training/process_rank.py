"""Rank and DataLoader worker of this process, as torch or the environment say."""

from __future__ import annotations

import logging
from typing import Any

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.ranks import world_from_environ

try:
    from torch import distributed
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["ProcessRank", "current_worker", "has_process_group"]

_log = logging.getLogger("aisio.placing")


class ProcessRank:
    """Finds the rank of this process each time it is needed.

    The process group of torch.distributed comes first, then the process that pickled this object,
    then the environment. A spawned DataLoader worker has no process group and perhaps no RANK, so
    it takes the rank of the process that sent the dataset to it. A sender that knows no rank, such
    as a driver that starts the ranks, leaves it to the receiver.

    Args:
        owner: Name of the dataset's class, for warnings.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._sender: tuple[int, int] | None = None
        self._has_warned = False

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sender": self._known()}

    def current(self) -> tuple[int, int]:
        """Return the rank and the number of ranks.

        Raises:
            ConfigError: See `world_from_environ`.
        """
        if has_process_group():
            return distributed.get_rank(), distributed.get_world_size()
        if self._sender is not None:
            return self._sender
        world = world_from_environ()
        if world.warning and not self._has_warned and not current_worker():
            self._has_warned = True
            _log.warning("<%s> reads as the only rank: %s", self._owner, world.warning)
        return world.rank, world.ranks

    def _known(self) -> tuple[int, int] | None:
        if has_process_group() or self._sender is not None:
            return self.current()
        try:
            world = world_from_environ()
        except ConfigError:  # the receiver raises it, unless it knows better
            return None
        return (world.rank, world.ranks) if world.is_known else None


def current_worker() -> int:
    """Return the number of this DataLoader worker; 0 in a process that is not a worker."""
    worker = get_worker_info()
    return worker.id if worker is not None else 0


def has_process_group() -> bool:
    """Return whether torch.distributed connects this process with other ranks."""
    return distributed.is_available() and distributed.is_initialized()
