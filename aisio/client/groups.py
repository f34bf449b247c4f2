"""ObjectGroup: some objects of a bucket, by their names or a template of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aisio.client.object import Object
from aisio.records import ObjectInfo
from aisio.transport.concurrency.limit import Concurrency, Pace
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.wire.templates import Template

if TYPE_CHECKING:
    from aisio.client.client import Bucket


class ObjectGroup:
    """Some objects of a bucket, in a given order; made by `Bucket.objects`.

    Whether they exist is not looked up: reading a missing one raises NotFoundError.
    """

    def __init__(self, bucket: Bucket, names: tuple[str, ...] | Template) -> None:
        self.bucket = bucket
        self._names = names

    def __len__(self) -> int:
        return self._names.count if isinstance(self._names, Template) else len(self._names)

    def __iter__(self) -> Iterator[Object]:
        return (self.bucket.object(name) for name in self.names())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectGroup) and (self.bucket, self._names) == (
            other.bucket,
            other._names,
        )

    def __hash__(self) -> int:
        return hash((self.bucket, self._names))

    def __repr__(self) -> str:
        return f"ObjectGroup({str(self.bucket.url)!r}, {len(self)} objects)"

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names in order, those that begin with the prefix."""
        names = self._names.names() if isinstance(self._names, Template) else iter(self._names)
        return (name for name in names if name.startswith(prefix))

    def list(self, prefix: str = "", *, sizes: bool = False) -> Iterator[ObjectInfo]:
        """Yield what is known of each object whose name begins with the prefix.

        Args:
            prefix: Plain-string prefix of the names.
            sizes: Ask the cluster for each, one request an object; else only the name is known.

        Raises:
            NotFoundError: With sizes, an object that does not exist.
        """
        for name in self.names(prefix):
            yield (
                self.bucket.object(name).head() if sizes else ObjectInfo(self.bucket.url.root, name)
            )

    def get_all(
        self, *, concurrency: int | Concurrency | None = None
    ) -> Iterator[tuple[ObjectInfo, bytes]]:
        """Read the objects, several at once, and yield them in the group's order, verified.

        Args:
            concurrency: How many at once, or the bounds within which to find out.

        Raises:
            NotFoundError: An object does not exist; those before it are yielded first.
            IntegrityError: The bytes are not the ones that the cluster promised.
        """
        return fetch_in_order(
            self,
            Object.get_with_info,
            ask=Object.ask,
            pace=Pace(Concurrency.of(concurrency)),
            result_bytes=lambda found: len(found[1]),
        )
