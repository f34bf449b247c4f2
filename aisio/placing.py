"""Which part of the job this process does: what datasets that split themselves have in common."""

from __future__ import annotations

from typing import Any

from aisio.client import Client
from aisio.config import world_from_environ
from aisio.extras import missing_extra
from aisio.split import Place

try:
    from torch import distributed
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error


class Splitting:
    """Knows rank and worker, at the time of asking."""

    _rank_before_pickling: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has no process group and perhaps no RANK: it takes the rank of whoever
        # sent it.
        return self.__dict__ | {"_rank_before_pickling": self._rank()}

    def _rank(self) -> tuple[int, int]:
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return self._rank_before_pickling or world_from_environ()

    def _place(self) -> Place:
        worker = get_worker_info()
        if worker is None:
            return Place(*self._rank())
        return Place(*self._rank(), worker.id, worker.num_workers)

    def _title(self, place: Place) -> str:
        return f"{type(self).__name__} (Worker {place.worker})"


def client_for(client: Client | None, endpoint: str | None) -> Client | None:
    """Return the cluster that a dataset was given, or None where the environment is to name it."""
    return client or (Client(endpoint) if endpoint else None)
