"""Which rank of how many a Loader or a dataset reads for; whether all ranks have one state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from aisio import publishing
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.process_rank import ProcessRank, has_process_group
from aisio.training.rank_states import MAX_NAMED_RANKS, RankStates, named_ranks
from aisio.training.rank_store import process_group_store, short_digest, store_key
from aisio.training.whole_number import whole_number

try:
    from torch import distributed
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["LoaderRanks", "Ranks", "states_differ"]

Ranks: TypeAlias = "Literal['auto'] | tuple[int, int] | Any | None"
"""Which rank this process is, of how many: "auto" asks torch.distributed, then the variables of the
launcher; (rank, ranks) says it; None reads everything; a process group, or a one-dimensional device
mesh, gives the ranks of that group."""

_comparisons: Counter[str] = Counter()


class LoaderRanks:
    """Finds the rank of this process each time it is needed.

    A process group cannot be sent to another process. What is pickled has the rank of the sender.

    Args:
        ranks: See `Ranks`.
        owner: Name of the class that reads, for warnings.

    Raises:
        ConfigError: It is none of these.
    """

    def __init__(self, ranks: Ranks, owner: str) -> None:
        self._ranks = _checked(ranks)
        self._process_rank = ProcessRank(owner)

    def __getstate__(self) -> dict[str, Any]:
        is_group = self._group() is not None and self._ranks != "auto"
        return self.__dict__ | ({"_ranks": self.current()} if is_group else {})

    def current(self) -> tuple[int, int]:
        """Return the rank and the number of ranks.

        Raises:
            ConfigError: What the launcher set cannot be right.
        """
        rank, ranks = self._find()
        publishing.current().place(rank, ranks)
        return rank, ranks

    def _find(self) -> tuple[int, int]:
        if self._ranks is None:
            return 0, 1
        if isinstance(self._ranks, tuple):
            return self._ranks
        if isinstance(self._ranks, str):
            return self._process_rank.current()
        group = self._group()
        return distributed.get_rank(group), distributed.get_world_size(group)

    def check_same(self, state: Mapping[str, Any]) -> None:
        """Compare a state over all ranks, where a process group connects them.

        All ranks of the group must call it: each waits for the others, up to ten minutes.

        Raises:
            ConfigError: Ranks have different states; every rank raises it. Or a rank does not call
                this.
        """
        group = self._group()
        store = process_group_store() if group is not None else None
        if group is None or store is None:
            return
        members = distributed.get_process_group_ranks(group)
        key = _key_of(members)
        states = RankStates(store, key, distributed.get_rank(group), len(members))
        if texts := states.differing(json.dumps(state)):
            raise ConfigError(states_differ(texts))

    def _group(self) -> Any:
        if self._ranks == "auto":
            return distributed.group.WORLD if has_process_group() else None
        if self._ranks is None or isinstance(self._ranks, tuple):
            return None
        return self._ranks.get_group() if hasattr(self._ranks, "get_group") else self._ranks


def _key_of(members: list[int]) -> str:
    """Return a key that the ranks of a group, which have compared as often, have in common."""
    text = ",".join(map(str, members))
    _comparisons[text] += 1
    return store_key("state", short_digest(text), _comparisons[text])


def states_differ(texts: list[str]) -> str:
    """Return which ranks have which state, or "" if all have the same.

    Args:
        texts: The state of each rank, as JSON.
    """
    ranks_by_text: dict[str, list[int]] = {}
    for rank, text in enumerate(texts):
        ranks_by_text.setdefault(text, []).append(rank)
    if len(ranks_by_text) == 1:
        return ""
    states = {text: json.loads(text) for text in ranks_by_text}
    first = states[texts[0]]
    names = [
        name
        for name in dict.fromkeys(name for one in states.values() for name in one)
        if any(one.get(name) != first.get(name) for one in states.values())
    ]
    parts = [
        f"epoch {states[text]['epoch']} and {sum(one[-1] for one in states[text]['segments'])}"
        f" batches on ranks {named_ranks(ranks)}"
        for text, ranks in sorted(ranks_by_text.items(), key=lambda item: -len(item[1]))
    ]
    return (
        f"the ranks have different states, so samples would be lost or come twice: "
        f"{'; '.join(parts[:MAX_NAMED_RANKS])}{' ...' * (len(parts) > MAX_NAMED_RANKS)}."
        f" They differ in {', '.join(names)}: load the same state on all ranks"
    )


def _checked(ranks: Any) -> Any:
    if isinstance(ranks, tuple) and len(ranks) == 2:
        rank, count = whole_number("rank", ranks[0], 0), whole_number("ranks", ranks[1], 1)
        if rank < count:
            return rank, count
    is_mesh = hasattr(ranks, "get_group") and ranks.ndim == 1
    is_group = distributed.is_available() and isinstance(ranks, distributed.ProcessGroup)
    if ranks is None or is_mesh or is_group or (isinstance(ranks, str) and ranks == "auto"):
        return ranks
    raise ConfigError(
        f"ranks={ranks!r}: 'auto', (rank, number of ranks), None, a process group or a device mesh"
        " of one dimension is needed"
    )
