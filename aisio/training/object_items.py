"""ObjectItems: what a dataset of objects yields of each, and how many are read at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aisio.errors import ConfigError, NotFoundError, add_note
from aisio.escapes import one_line
from aisio.records import ObjectInfo
from aisio.training.data_object import DataObject
from aisio.training.missing_objects import GoneObjects, MissingObjects, OnMissing
from aisio.training.split_dataset import ListedObject
from aisio.training.stateful_iteration import Failed, Step
from aisio.transforms.functions import FunctionChain, require_picklable
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ObjectItems", "ReadObject", "Transform"]

Transform: TypeAlias = Callable[[Any], Any]
"""Called with the `DataObject`, or with None for one that is gone; what it returns is the item."""


class ReadObject(NamedTuple):
    """An object that was read.

    Attributes:
        listed: The object, with its source.
        data: Its bytes; None if it is gone, and may be.
        info: What reading it has told of it; None where the listing tells all.
    """

    listed: ListedObject
    data: bytes | None
    info: ObjectInfo | None = None


class ObjectItems:
    """Reads objects, and makes the items of a dataset of them.

    Args:
        etl_name: Have the cluster transform each object by this ETL.
        transform: Makes the item of an object; without it the item is (name, bytes).
        on_missing: See `OnMissing`.
        owner: Name of the dataset's class.
        kind: Class of the objects that `transform` gets.

    Attributes:
        on_missing: As given.

    Raises:
        ConfigError: `transform` cannot be called, or there is no such `on_missing`.
    """

    def __init__(
        self,
        etl_name: str | None,
        transform: Transform | None,
        on_missing: OnMissing,
        owner: str,
        kind: type[DataObject] = DataObject,
    ) -> None:
        if transform is not None and not callable(transform):
            raise ConfigError(f"<{owner}> transform={transform!r} cannot be called")
        self._etl_name = etl_name
        self._transform = transform
        self._missing = MissingObjects(on_missing, owner)
        self._owner = owner
        self._kind = kind
        self.on_missing: OnMissing = on_missing
        self._functions = FunctionChain()

    def __getstate__(self) -> dict[str, Any]:
        require_picklable(f"<{self._owner}> transform=", self._transform)
        self._functions.check_picklable(self._owner)
        return self.__dict__

    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """Return items like these, of which each is given to one function more.

        Args:
            word: What the user called, for errors.
            function: Its result takes the item's place.
        """
        other = copy(self)
        other._functions = self._functions.followed_by(word, function)
        return other

    def item(self, one: ReadObject) -> Any:
        """Return the item of an object that was read."""
        return self._functions(self._item(one))

    def _item(self, one: ReadObject) -> Any:
        (source, listed), data = one.listed, one.data
        info = one.info or listed
        if self._transform is None:
            return None if data is None else (info.name, data)
        return self._transformed(info, None if data is None else self._kind(source, info, data))

    def read_item(self, listed: ListedObject) -> Any:
        """Read an object and return its item; a transform reads a large one as far as it needs.

        Raises:
            NotFoundError: It is gone, unless on_missing="none".
        """
        source, info = listed
        one = self._kind(source, info, etl_name=self._etl_name)
        try:
            if self._transform is None:
                data = source.read(info, etl_name=self._etl_name)
                return self._functions((info.name, data))
            one.open()
        except NotFoundError:
            if self.on_missing != "none" or not self._may_be_gone(listed):
                raise
            return self.item(ReadObject(listed, None))
        return self._functions(self._transformed(info, one))

    def read_in_order(
        self, share: Iterable[ListedObject], limit: AdaptiveLimit
    ) -> Iterator[ReadObject]:
        """Read objects, several at once, and yield them in their order."""
        return fetch_in_order(
            share,
            self.read,
            send_ahead=self._send_ahead,
            limit=limit,
            size_of=lambda listed: listed[1].size_bytes,
            result_bytes=lambda one: len(one.data or b""),
        )

    def read(self, listed: ListedObject) -> ReadObject:
        """Read an object, whole and verified; errors as for `Source.read`.

        Raises:
            NotFoundError: It is gone, with on_missing="raise"; or more than the object is.
        """
        source, info = listed
        try:
            return ReadObject(listed, source.read(info, etl_name=self._etl_name))
        except NotFoundError:
            if not self._may_be_gone(listed):
                raise
            return ReadObject(listed, None)

    def skips(self, one: ReadObject, gone: GoneObjects) -> bool:
        """Tell whether an object has no item, and count it in `gone` if so."""
        if one.data is not None or self.on_missing != "skip":
            return False
        gone.add(one.listed[1].name)
        return True

    def steps(self, objects: Iterable[ReadObject], gone: GoneObjects, start: int) -> Iterator[Step]:
        """Yield the items of an iteration that begins behind so many objects.

        Where a function of the user raises, the item is a `Failed`. What it skips is logged when it
        ends, or is left.
        """
        try:
            for position, one in enumerate(objects, start + 1):
                if self.skips(one, gone):
                    continue
                try:
                    item = self.item(one)
                except Exception as error:
                    item = Failed(error)
                yield Step(position, one.listed[1].name, item)
        finally:
            gone.log()

    def _send_ahead(self, listed: ListedObject) -> PendingGet | None:
        source, info = listed
        return source.send_ahead(info, etl_name=self._etl_name)

    def _may_be_gone(self, listed: ListedObject) -> bool:
        return self._missing.allows(*listed, self._etl_name)

    def _transformed(self, info: ObjectInfo, one: DataObject | None) -> Any:
        assert self._transform is not None
        try:
            return self._transform(one)
        except StopIteration as error:
            # Whoever iterates over a dataset would take it for the end.
            raise RuntimeError(f"{self._about(info, one)} raised StopIteration") from error
        except Exception as error:
            add_note(error, f"{self._about(info, one)} raised this")
            raise

    def _about(self, info: ObjectInfo, one: DataObject | None) -> str:
        given = f"None for {one_line(info.url)}, which is gone," if one is None else None
        return f"<{self._owner}> transform= of {given or one_line(info.url)}"
