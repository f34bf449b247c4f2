"""Delete many objects, each by a request of its own, several at once; account for each name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aisio.errors import NotFoundError, StorageError
from aisio.records import Deleted
from aisio.transport.concurrency.ordered import fetch_in_order

__all__ = ["delete_each", "require_none_missing"]

_SHOWN_NAMES = 5


class _Outcome(NamedTuple):
    """What became of one name.

    Attributes:
        name: The object.
        existed: Whether it existed.
        error: Why it could not be deleted.
    """

    name: str
    existed: bool
    error: StorageError | None


def delete_each(
    delete: Callable[[str], None],
    root: str,
    names: Iterable[str],
    *,
    is_missing: Callable[[], None] = lambda: None,
    deleted_before: int = 0,
) -> Deleted:
    """Delete objects; those after one that fails are deleted as well.

    Args:
        delete: Deletes one object; raises NotFoundError if it does not exist.
        root: The bucket's URL, for errors.
        names: The objects' names.
        is_missing: Called after a NotFoundError; raises if it is the bucket that does not exist.
        deleted_before: How many objects the caller has deleted already, for errors.

    Raises:
        StorageError: Objects could not be deleted. It has the class of the first one's error; its
            text names the first ones, and says how many were deleted.
    """

    def outcome_of(name: str) -> _Outcome:
        try:
            delete(name)
        except NotFoundError:
            is_missing()
            return _Outcome(name, False, None)
        except StorageError as error:
            return _Outcome(name, True, error)
        return _Outcome(name, True, None)

    count, missing, failed = 0, [], []
    for outcome in fetch_in_order(names, outcome_of, result_bytes=lambda _: 1):
        if outcome.error is not None:
            failed.append((outcome.name, outcome.error))
        elif outcome.existed:
            count += 1
        else:
            missing.append(outcome.name)
    if not failed:
        return Deleted(count, tuple(missing))
    first = failed[0][1]
    raise type(first)(
        f"delete {root}: objects that could not be deleted: {len(failed):,} "
        f"({_shown([name for name, _ in failed])}), deleted ones: {deleted_before + count:,}: "
        f"{first}",
        url=root,
        status=first.status,
    ) from first


def require_none_missing(root: str, deleted: Deleted) -> Deleted:
    """Return the result if all names existed.

    Raises:
        NotFoundError: Names did not exist.
    """
    if not deleted.missing:
        return deleted
    names = f"{len(deleted.missing):,} names do" if len(deleted.missing) > 1 else "a name does"
    raise NotFoundError(
        f"delete {root}: {names} not exist: {_shown(deleted.missing)}; "
        f"deleted objects: {deleted.count:,}",
        url=root,
    )


def _shown(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "")
