"""Whether all ranks have the same state, found out through the store of their process group.

No collective operation: one would wait for a rank that never takes part for as long as the group's
timeout says, half an hour, and could not say which rank that is.

Source:
    torch.distributed's Store: `add` is atomic, and `add` and `check` never wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from aisio.errors import ConfigError
from aisio.training.rank_store import short_digest

__all__ = ["MAX_NAMED_RANKS", "RankStates", "named_ranks"]

_PATIENCE_S = 600.0
"""Ranks may load a large model before they compare: on the slowest disk longer than on others."""

_WARN_AFTER_S = 30.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.002, 0.2
MAX_NAMED_RANKS = 8
"""A message names so many ranks of a state, and so many states: a job may have thousands."""

_log = logging.getLogger("aisio.loader")


class RankStates:
    """Collects the states of all ranks, if they differ. It takes a few requests of each rank.

    Args:
        store: A store of torch.distributed that all ranks have.
        key: What the names of its entries begin with; the same on all ranks, and used once.
        rank: This rank.
        ranks: How many there are.
        patience_s: How long to wait for the other ranks, in seconds.
        clock: Returns the time in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        store: Any,
        key: str,
        rank: int,
        ranks: int,
        *,
        patience_s: float = _PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._key = key
        self._rank = rank
        self._ranks = ranks
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep

    def differing(self, text: str) -> list[str]:
        """Return the states of all ranks if not all have this one; otherwise nothing.

        Raises:
            ConfigError: Another rank does not compare its state within the time.
        """
        self._store.set(self._of_rank(self._rank), text)
        if self._add(f"of {short_digest(text)}", 1) == 1:
            self._add("distinct", 1)
        self._add("arrived", 1)
        self._wait_for_all()
        if self._add("distinct", 0) == 1:
            return []
        return [self._store.get(self._of_rank(rank)).decode() for rank in range(self._ranks)]

    def _wait_for_all(self) -> None:
        started, wait_s, has_warned = self._clock(), _FIRST_WAIT_S, False
        while self._add("arrived", 0) < self._ranks:
            waited_s = self._clock() - started
            if waited_s >= self._patience_s:
                raise ConfigError(
                    f"{self._missing()} did not compare the loaded state with that of rank"
                    f" {self._rank} for {self._patience_s:g} s: call load_state_dict, and begin to"
                    " iterate, on all ranks"
                )
            if waited_s >= _WARN_AFTER_S and not has_warned:
                has_warned = True
                _log.warning(
                    "waiting for %s to compare the loaded state: load_state_dict must be called on"
                    " all ranks",
                    self._missing(),
                )
            self._sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _missing(self) -> str:
        """Return which ranks have not come."""
        missing = [
            rank for rank in range(self._ranks) if not self._store.check([self._of_rank(rank)])
        ]
        return f"rank{'s' * (len(missing) > 1)} {named_ranks(missing)}"

    def _of_rank(self, rank: int) -> str:
        return f"{self._key}/rank {rank}"

    def _add(self, name: str, number: int) -> int:
        return int(self._store.add(f"{self._key}/{name}", number))


def named_ranks(ranks: list[int]) -> str:
    """Return ranks for a message, the first few of many."""
    shown = ", ".join(map(str, ranks[:MAX_NAMED_RANKS]))
    return shown + " ..." * (len(ranks) > MAX_NAMED_RANKS)
