"""StoredWhole: what files have in common that are stored as a whole, or not at all."""

from __future__ import annotations

import io
from abc import abstractmethod
from types import TracebackType

__all__ = ["StoredWhole"]


class StoredWhole(io.IOBase):
    """A file that is stored when it is closed.

    Nothing is stored if the block of its `with` statement raises, or if it is dropped.
    """

    @abstractmethod
    def abort(self) -> None:
        """Close the file without storing anything; the old object stays."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store the object; if the block raised, drop it."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        """Leave it to the file below: `io.IOBase` would store a part of the object."""
