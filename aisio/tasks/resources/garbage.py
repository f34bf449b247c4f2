"""Collecting garbage: pieces that no tree refers to are deleted, in two phases.

    first call     pieces that no tree refers to are condemned: a list of their names is stored
    later call     after the time of grace, those to which still no tree refers are deleted
    last call      after another time of grace, the list is deleted, and the names are free again

Uploads may run at the same time, on other machines too: see `commit` for their part. A call may be
killed anywhere: the next one goes on with the lists that are there. Several calls may run at once:
one that is late deletes only names that no upload uses yet.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import time

from msgspec.structs import replace

from aisio.errors import ConfigError, NotFoundError, StoreTimeoutError
from aisio.records import ObjectInfo
from aisio.tasks.resources.commit import MIN_GRACE_S, TRUSTED_S
from aisio.tasks.resources.pieces import Condemned, PieceStore

__all__ = ["DEFAULT_GRACE_S", "Garbage", "collect_pieces"]

DEFAULT_GRACE_S = 24 * 3600.0
_BATCH = 1000


@dataclass(frozen=True)
class Garbage:
    """What a call has done, or would do.

    Attributes:
        deleted: Number of pieces that were deleted.
        deleted_bytes: Their bytes.
        condemned: Number of pieces that a later call deletes if nothing refers to them then.
        condemned_bytes: Their bytes.
        kept: Number of other pieces: they are referred to, or younger than the time of grace.
        kept_bytes: Their bytes.
    """

    deleted: int
    deleted_bytes: int
    condemned: int
    condemned_bytes: int
    kept: int
    kept_bytes: int


def collect_pieces(
    store: PieceStore,
    *,
    grace_s: float = DEFAULT_GRACE_S,
    dry_run: bool = False,
    now: Callable[[], float] = time,
) -> Garbage:
    """Delete the pieces that nothing has referred to for the time of grace, and condemn others.

    Args:
        store: The store.
        grace_s: The time of grace in seconds: for so long pieces stay that nothing refers to, since
            they were written, and again since they were condemned.
        dry_run: Change nothing.
        now: Returns the time, in seconds since 1970.

    Raises:
        ConfigError: The time of grace is shorter than an hour.
        IntegrityError: A tree is damaged, or of a newer version: nothing was deleted.
        StorageError: The store does not answer.
    """
    if not grace_s >= MIN_GRACE_S:
        raise ConfigError(
            f"a time of grace of {grace_s:g} s is too short: uploads that run need at least "
            f"{MIN_GRACE_S:g} s"
        )
    started = now()
    lists = list(store.condemned())
    ripe = [one for one in lists if one.swept is None and _is_over(one.time, grace_s, started)]
    waiting = _names(one for one in lists if one.swept is None and one not in ripe)
    objects = {info.name.rpartition("/")[2]: info for info in store.pieces()}
    # Trees come last: all those are there whose pieces were in use when a ripe list was written.
    live = {piece.object_name for _, tree in store.trees() for piece in tree.pieces()}
    doomed = (_names(ripe) & objects.keys()) - live - waiting
    unused = objects.keys() - live - doomed
    fresh = {name for name in unused - waiting if _is_old(store, objects[name], grace_s, started)}
    if not dry_run:
        _delete(store, sorted(doomed), started, now)
        _update_lists(store, lists, ripe, live, grace_s, now)
        if fresh:
            _condemn(store, sorted(fresh), now)

    def total(names: Iterable[str]) -> int:
        return sum(objects[name].size_bytes or 0 for name in names)

    condemned = fresh | (waiting & unused)
    kept = objects.keys() - doomed - condemned
    return Garbage(
        len(doomed), total(doomed), len(condemned), total(condemned), len(kept), total(kept)
    )


def _is_over(time_s: float | None, grace_s: float, now_s: float) -> bool:
    return time_s is not None and time_s + grace_s <= now_s


def _is_old(store: PieceStore, info: ObjectInfo, grace_s: float, now_s: float) -> bool:
    try:
        return _is_over(store.stored_s(info), grace_s, now_s)
    except NotFoundError:  # another call has deleted it
        return False


def _names(lists: Iterable[Condemned]) -> set[str]:
    return {name for one in lists for name in one.pieces}


def _delete(
    store: PieceStore, names: Sequence[str], started: float, now: Callable[[], float]
) -> None:
    for first in range(0, len(names), _BATCH):
        if abs(now() - started) > TRUSTED_S:
            raise StoreTimeoutError(
                f"{store.url}: {len(names) - first:,} pieces are not deleted after "
                f"{TRUSTED_S:g} s, and may be in use by now: run this again"
            )
        store.delete_pieces(names[first : first + _BATCH])


def _update_lists(
    store: PieceStore,
    lists: Sequence[Condemned],
    ripe: Sequence[Condemned],
    live: set[str],
    grace_s: float,
    now: Callable[[], float],
) -> None:
    """Date lists, note that their pieces are deleted, and delete those that are not needed."""
    for one in lists:
        gone = tuple(name for name in one.pieces if name not in live)
        if one in ripe and gone:
            store.write_condemned(replace(one, pieces=gone, swept=now()))
        elif one in ripe or _is_over(one.swept, grace_s, now()):
            store.delete_condemned(one)
        elif one.time is None:
            store.write_condemned(replace(one, time=now()))


def _condemn(store: PieceStore, names: Sequence[str], now: Callable[[], float]) -> None:
    """Store a list. Its time is that when it was there to be read, so it is written twice."""
    condemned = Condemned(f"{int(now())}-{secrets.token_hex(4)}", tuple(names))
    store.write_condemned(condemned)
    store.write_condemned(replace(condemned, time=now()))
