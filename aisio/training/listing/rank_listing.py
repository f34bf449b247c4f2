"""One listing for all ranks, through the store of torch.distributed's process group.

The first rank that needs a listing claims it, lists, and publishes it block by block; the others
read the blocks as they come. No rank has to take part: it is no collective operation. A rank that
waits too long, or whose store fails, lists for itself; at the end such ranks compare what they have
listed, since ranks with different listings would lose samples, or read them twice.

Source:
    torch.distributed's Store: `add` is atomic, and never waits; `get` waits for the key.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.context import get_spawning_popen
from typing import Any, TypeAlias

from aisio.errors import IntegrityError
from aisio.extras import missing_extra
from aisio.forks import SameProcess, this_process
from aisio.training.process_rank import has_process_group
from aisio.training.rank_store import process_group_store, store_key, torch_stores

try:
    from torch import distributed
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["ListingUnavailableError", "RankChannel", "RankListing"]

Connect: TypeAlias = Callable[[], "tuple[Any, int, int] | None"]
"""Returns a store, the rank of this process, and the number of ranks; None without other ranks."""

_PATIENCE_S = 300.0
"""How long a rank waits for the next block: longer than a store may take for a page, with all of a
client's retries."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.002, 0.2
_GET_TIMEOUT = timedelta(seconds=30)
_COMPLETE, _ABANDONED, _REMOVED = 1, 1 << 20, 1 << 40
_log = logging.getLogger("aisio.placing")
_made: Counter[str] = Counter()


class ListingUnavailableError(Exception):
    """The other rank's listing does not come; the text says why."""


class RankListing:
    """A listing that the ranks of a job share. Copies and workers have the same.

    The n-th listing of a name that is made in a process is the n-th of the other ranks.

    Args:
        name: What is listed, shortly.
        identity: Returns what is listed, exactly; None if it may be different on another rank.
        connect: Connects to the store of the ranks; by default that of the process group.
        patience_s: How long to wait for the next block, in seconds.
        made: How many listings of each name were made; by default in this process.
    """

    def __init__(
        self,
        name: str,
        identity: Callable[[], str | None],
        *,
        connect: Connect | None = None,
        patience_s: float = _PATIENCE_S,
        made: Counter[str] = _made,
    ) -> None:
        self._name = name
        self._identity = identity
        self._connect = connect
        self._patience_s = patience_s
        self._made = made
        made[name] += 1
        self._number = made[name]
        self._address: _Address | None = None
        self._connection: tuple[SameProcess, tuple[Any, int, int] | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Another program may be out of reach of this one's ranks, or have its own.
        is_worker = get_spawning_popen() is not None
        return self.__dict__ | {
            "_address": self._current_address() if is_worker else None,
            "_connection": None,
            "_made": None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _made=_made)

    def anew(self) -> RankListing:
        """Return a later listing of the same."""
        return RankListing(
            self._name,
            self._identity,
            connect=self._connect,
            patience_s=self._patience_s,
            made=self._made,
        )

    def channel(self, part: int) -> RankChannel | None:
        """Return where the ranks exchange a part of the listing; None if they do not.

        Args:
            part: Number of the part.
        """
        if self._connect is None and self._current_address() is None:
            return None
        identity = self._identity()
        connection = self._connected() if identity is not None else None
        if connection is None:
            return None
        key = store_key("listing", identity, self._number, part)
        return RankChannel(*connection, key, self._patience_s)

    def _connected(self) -> tuple[Any, int, int] | None:
        process, connection = self._connection or (None, None)
        if process is not this_process():
            try:
                connection = (self._connect or self._connect_to_group)()
            except RuntimeError as error:
                _log.warning(
                    "this rank lists for itself: no connection to the other ranks: %s", error
                )
            self._connection = this_process(), connection
        return connection

    def _connect_to_group(self) -> tuple[Any, int, int] | None:
        """Make a connection of this process's own: a forked worker must not use its parent's."""
        address = self._current_address()
        return address.connect() if address else None

    def _current_address(self) -> _Address | None:
        return _Address.of_group() if has_process_group() else self._address


class _Address:
    """Where the store of a process group is, and which rank of it this is; it pickles."""

    def __init__(self, kind: str, where: tuple[Any, ...], rank: int, ranks: int) -> None:
        self._kind = kind
        self._where = where
        self._rank = rank
        self._ranks = ranks

    @classmethod
    def of_group(cls) -> _Address | None:
        """Return that of the default group; None if nobody else can connect to its store."""
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
        store = process_group_store()
        while isinstance(store, torch_stores.PrefixStore):
            store = store.underlying_store
        if ranks > 1 and isinstance(store, torch_stores.TCPStore):
            return cls("tcp", (store.host, store.port), rank, ranks)
        if ranks > 1 and isinstance(store, torch_stores.FileStore):
            return cls("file", (store.path,), rank, ranks)
        return None

    def connect(self) -> tuple[Any, int, int]:
        """Connect to the store.

        Raises:
            RuntimeError: The store is not there.
        """
        if self._kind == "tcp":
            store = torch_stores.TCPStore(
                *self._where, is_master=False, timeout=_GET_TIMEOUT, wait_for_workers=False
            )
        else:
            store = torch_stores.FileStore(*self._where)
            store.set_timeout(_GET_TIMEOUT)
        return store, self._rank, self._ranks


class RankChannel:
    """Where the ranks exchange one part of a listing.

    Args:
        store: A store of torch.distributed.
        rank: Rank of this process.
        ranks: Number of ranks.
        key: What the names of its entries begin with.
        patience_s: How long to wait for the next block, in seconds.
    """

    def __init__(self, store: Any, rank: int, ranks: int, key: str, patience_s: float) -> None:
        self._store = store
        self._rank = rank
        self._ranks = ranks
        self._key = key
        self._patience_s = patience_s

    def claim(self) -> bool:
        """Return whether this process is the one that lists: the first that calls this."""
        is_first = self._add("claims", 1) == 1
        if is_first:
            self._is_first_to_have()
        return is_first

    @property
    def published(self) -> int:
        """Number of blocks that were published."""
        return self._add("blocks", 0)

    def publish(self, block: bytes) -> None:
        """Give the other ranks the next block."""
        number = self.published
        # Names have much in common, and the store keeps the blocks of all ranks in one process.
        self._set(f"block/{number}", zlib.compress(block, 1))
        self._add("blocks", 1)

    def complete(self) -> None:
        """Say that there are no more blocks."""
        self._add("ended", _COMPLETE)

    def abandon(self) -> None:
        """Say that no more blocks will come: the others list for themselves."""
        self._add("ended", _ABANDONED)

    def receive(self, start: int = 0) -> Iterator[bytes]:
        """Yield the blocks, as another rank publishes them.

        Args:
            start: Number of the first block to yield.

        Raises:
            ListingUnavailableError: The other rank cannot list, or publishes nothing for too long.
        """
        number, wait_s, deadline = start, _FIRST_WAIT_S, time.monotonic() + self._patience_s
        while True:
            ended, published = self._add("ended", 0), self.published
            if ended >= _ABANDONED:
                self._add("alone", 1)
                raise ListingUnavailableError("the rank that listed for all has stopped")
            if number < published:
                yield zlib.decompress(self._get(f"block/{number}"))
                number += 1
                wait_s, deadline = _FIRST_WAIT_S, time.monotonic() + self._patience_s
            elif ended:
                self._remove_after_last(published)
                return
            elif time.monotonic() < deadline:
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                self._add("alone", 1)
                if not self._add("ended", 0):  # otherwise that rank does not know of this one
                    text = f"the rank that lists for all sent nothing for {self._patience_s:g} s"
                    raise ListingUnavailableError(text)

    def _remove_after_last(self, blocks: int) -> None:
        """Remove the blocks when all other ranks have received them."""
        if self._is_first_to_have() and self._add("receivers", 1) == self._ranks - 1:
            self._add("ended", _REMOVED)
            for number in range(blocks):
                with _store_errors():
                    self._store.delete_key(f"{self._key}/block/{number}")

    def _is_first_to_have(self) -> bool:
        """Return whether no other process of this rank had the listing: one may take over."""
        return self._add(f"had by/{self._rank}", 1) == 1

    @property
    def has_others(self) -> bool:
        """Whether another rank lists for itself, or will, as it was told to."""
        return self._add("alone", 0) > 0 or self._add("ended", 0) % _REMOVED >= _ABANDONED

    def compare(self, digest: str) -> None:
        """Publish what this rank has listed, and compare it with what others have published.

        Raises:
            IntegrityError: Another rank has listed other objects.
        """
        self._set(f"digest/{self._rank}", digest)
        number = self._add("digests", 1)
        self._set(f"digest of/{number}", str(self._rank))
        for other in range(1, number):
            rank = self._get(f"digest of/{other}").decode()
            if self._get(f"digest/{rank}").decode() != digest:
                raise IntegrityError(
                    f"ranks {rank} and {self._rank} listed different objects, so samples would be"
                    " lost or come twice: start the job anew when no object changes"
                )

    def _add(self, name: str, number: int) -> int:
        with _store_errors():
            return int(self._store.add(f"{self._key}/{name}", number))

    def _set(self, name: str, value: bytes | str) -> None:
        with _store_errors():
            self._store.set(f"{self._key}/{name}", value)

    def _get(self, name: str) -> bytes:
        with _store_errors():
            return bytes(self._store.get(f"{self._key}/{name}"))


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch's errors of a store are such
        text = f"no connection to the other ranks: {str(error).partition(chr(10))[0]}"
        raise ListingUnavailableError(text) from error
