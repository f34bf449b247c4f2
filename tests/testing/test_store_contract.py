"""The contract fails for a store that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aisio.stores import LocalStore
from aisio.testing.store_contract import StoreContract
from aisio.urls import ObjectUrl


class Contract(StoreContract):
    """The contract for files, whose tests are called one by one."""

    __test__ = False

    def put_raw(self, url: ObjectUrl, data: bytes) -> None:
        path = Path("/", url.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get_raw(self, url: ObjectUrl) -> bytes:
        return Path("/", url.name).read_bytes()


class WrongSize(LocalStore):
    """Returns a size that is not the object's."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        return msgspec.structs.replace(super().put(*args, **kwargs), size_bytes=0)


class KeepsTheFirst(LocalStore):
    """Does not replace an object."""

    def put(self, url: ObjectUrl, data: Any, *args: Any, **kwargs: Any) -> Any:
        return super().put(url, super().read(url) if Path("/", url.name).exists() else data)


class IgnoresRanges(LocalStore):
    """Returns the whole object for a range."""

    def get(self, url: ObjectUrl, *args: Any, **kwargs: Any) -> Any:
        return super().get(url)


class DeletesNothing(LocalStore):
    """Takes a delete for done."""

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


class ListsBackwards(LocalStore):
    """Lists in descending order."""

    def list(self, *args: Any, **kwargs: Any) -> Any:
        return reversed([*super().list(*args, **kwargs)])


class ListsFromTheStart(LocalStore):
    """Ignores `start_after`."""

    def list(self, prefix: ObjectUrl, **kwargs: Any) -> Any:
        return super().list(prefix)


CASES: list[tuple[type[LocalStore], Callable[..., None]]] = [
    (WrongSize, Contract.test_put_writes_the_bytes_and_tells_their_size),
    (KeepsTheFirst, Contract.test_put_replaces),
    (IgnoresRanges, Contract.test_range_outside),
    (DeletesNothing, Contract.test_delete),
    (DeletesNothing, Contract.test_missing_objects),
    (ListsBackwards, Contract.test_list_is_sorted_bytewise),
    (ListsFromTheStart, Contract.test_list_after),
]


@pytest.fixture
def root(tmp_path: Path) -> ObjectUrl:
    """Return the URL of an empty folder."""
    return ObjectUrl.parse(f"file://{tmp_path}/")


@pytest.mark.parametrize(("broken", "test"), CASES)
def test_a_store_that_breaks_a_rule_fails_its_test(
    root: ObjectUrl, broken: type[LocalStore], test: Callable[..., None]
) -> None:
    """And a store that follows the rule passes the same test."""
    test(Contract(), LocalStore(), root.join("right/"))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test(Contract(), broken(), root.join("broken/"))


def test_a_subclass_has_to_define_how_to_access_the_bytes() -> None:
    """Without it the store would be tested by itself."""
    url = ObjectUrl.parse("file:///x")
    with pytest.raises(NotImplementedError):
        StoreContract().put_raw(url, b"")
    with pytest.raises(NotImplementedError):
        StoreContract().get_raw(url)
