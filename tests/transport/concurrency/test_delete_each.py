"""Deleting one by one: each name is accounted for."""

from __future__ import annotations

import pytest

from aisio.errors import AccessError, NotFoundError, StorageError
from aisio.records import Deleted
from aisio.transport.concurrency.delete_each import delete_each, require_none_missing


class Bucket:
    """Some objects, of which some cannot be deleted."""

    def __init__(self, names: set[str], locked: tuple[str, ...] = ()) -> None:
        self.names = names
        self.locked = locked

    def delete(self, name: str) -> None:
        if name in self.locked:
            raise AccessError(f"{name}: forbidden", status=403)
        if name not in self.names:
            raise NotFoundError(name)
        self.names.remove(name)


def test_each_name_is_accounted_for() -> None:
    """The missing ones are in the caller's order."""
    bucket = Bucket({"a", "b", "c"})
    assert delete_each(bucket.delete, "ais://x", ["z", "a", "y", "b"]) == Deleted(2, ("z", "y"))
    assert bucket.names == {"c"}
    assert delete_each(bucket.delete, "ais://x", []) == Deleted(0)


def test_a_failure_does_not_keep_the_others() -> None:
    """The error has the class of the first one, and says how many were deleted."""
    bucket = Bucket({"a", "b", "c"}, locked=("a", "c"))
    with pytest.raises(AccessError, match=r"deleted: 2 \(a, c\), deleted ones: 8: a: forbidden"):
        delete_each(bucket.delete, "ais://x", ["a", "b", "c"], deleted_before=7)
    assert bucket.names == {"a", "c"}


def test_a_missing_bucket_is_not_a_missing_name() -> None:
    """What tells the two apart is called for each missing name."""

    def no_bucket() -> None:
        raise NotFoundError("ais://x does not exist")

    with pytest.raises(NotFoundError, match="ais://x does not exist"):
        delete_each(Bucket(set()).delete, "ais://x", ["a"], is_missing=no_bucket)


def test_missing_names_are_told() -> None:
    """The first of them; all were looked for."""
    assert require_none_missing("ais://x", Deleted(3)) == Deleted(3)
    names = tuple("abcdefg")
    text = "7 names do not exist: a, b, c, d, e, ...; deleted objects: 3"
    with pytest.raises(StorageError, match=text):
        require_none_missing("ais://x", Deleted(3, names))
    with pytest.raises(NotFoundError, match="a name does not exist: a;"):
        require_none_missing("ais://x", Deleted(0, ("a",)))
