"""The store of torch.distributed's process group, through which ranks tell each other things.

Nothing here is a collective operation, which would wait for a rank that takes no part in it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from aisio.config import first_set
from aisio.extras import missing_extra

try:
    from torch import distributed
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["process_group_store", "short_digest", "store_key", "torch_stores"]

torch_stores: Any = distributed
"""torch.distributed, whose stores have no types."""


def process_group_store() -> Any:
    """Return the store that all ranks have; None with MPI, which has none."""
    return torch_stores.distributed_c10d._get_default_store()


def store_key(kind: str, *parts: object) -> str:
    """Return what the names of some entries of the store begin with.

    Args:
        kind: What they are about.
        parts: What tells them apart, the same on all ranks.
    """
    # An elastic launcher starts ranks again, and keeps the store.
    restarts = first_set("TORCHELASTIC_RESTART_COUNT") or "0"
    return "/".join(["aisio", kind, restarts, *map(str, parts)])


def short_digest(text: str) -> str:
    """Return a name for a text that is too long for a key."""
    return blake2b(text.encode(), digest_size=16).hexdigest()
