"""A store of pieces in memory, with a clock, at each of whose steps something else may happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aisio.errors import NotFoundError
from aisio.records import ObjectInfo
from aisio.tasks.resources.pieces import Condemned, PieceStore
from aisio.tasks.resources.tree import Piece, Tree


class Clock:
    """A time that passes when it is told to.

    Attributes:
        time: The time.
    """

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time


class PiecesInMemory(PieceStore):
    """A store; `before` is called before each of its steps."""

    objects: dict[str, tuple[bytes, float]]
    lists: dict[str, Condemned]
    files: dict[str, Tree]
    clock: Clock
    before: list[Callable[[], object]]

    @classmethod
    def new(cls, clock: Clock) -> PiecesInMemory:
        """Return an empty store."""
        made = cls("memory://pieces/")
        values: dict[str, Any] = {"clock": clock, "before": []}
        for name, value in (values | {"objects": {}, "lists": {}, "files": {}}).items():
            object.__setattr__(made, name, value)
        return made

    def _step(self) -> None:
        for action in self.before:
            action()

    def has(self, piece: Piece) -> bool:
        """Tell whether there is a piece."""
        self._step()
        return piece.object_name in self.objects

    def is_empty(self) -> bool:
        """Tell whether there are none."""
        self._step()
        return not self.objects

    def put(self, piece: Piece, data: bytes | memoryview) -> None:
        """Store a piece."""
        self._step()
        self.objects[piece.object_name] = bytes(data), self.clock.time

    def read(self, piece: Piece) -> bytes:
        """Return a piece."""
        self._step()
        if piece.object_name not in self.objects:
            raise NotFoundError(piece.object_name)
        return self.objects[piece.object_name][0]

    def write_tree(self, resource_id: str, tree: Tree) -> None:
        """Store a tree."""
        self._step()
        self.files[resource_id] = tree

    def delete_tree(self, resource_id: str) -> None:
        """Delete a tree."""
        self._step()
        self.files.pop(resource_id, None)

    def pieces(self) -> list[ObjectInfo]:
        """List the pieces."""
        self._step()
        return [
            ObjectInfo("memory://pieces", f"x/{name}", len(data), mtime_s=time)
            for name, (data, time) in self.objects.items()
        ]

    def trees(self) -> Iterator[tuple[str, Tree]]:
        """Yield the trees that are there when this begins."""
        self._step()
        yield from list(self.files.items())

    def delete_pieces(self, names: Iterable[str]) -> int:
        """Delete pieces, one after the other."""
        count = 0
        for name in names:
            self._step()
            count += self.objects.pop(name, None) is not None
        return count

    def condemned(self) -> Iterator[Condemned]:
        """Yield the lists."""
        self._step()
        yield from list(self.lists.values())

    def write_condemned(self, condemned: Condemned) -> None:
        """Store a list."""
        self._step()
        self.lists[condemned.id] = condemned

    def delete_condemned(self, condemned: Condemned) -> None:
        """Delete a list."""
        self._step()
        self.lists.pop(condemned.id, None)
