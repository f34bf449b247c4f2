"""What a transfer does, item by item, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aisio.errors import AisioError
from aisio.transfer.trees import Entry
from aisio.urls import ObjectUrl

__all__ = ["Action", "Copy", "Outcome"]


class Action(Enum):
    """What is done with one object or file."""

    COPY = "copy"
    MOVE = "move"
    SKIP = "skip"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Copy:
    """One object or file that is to be copied.

    Attributes:
        entry: The source.
        url: The destination.
        path: The destination as a path, where it is a local file.
    """

    entry: Entry
    url: ObjectUrl
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object or file.

    Attributes:
        action: What was to be done.
        source: URL of the source; "" for a deletion.
        destination: URL of the destination.
        size_bytes: How many bytes were copied; of a file that is skipped or deleted, its size.
        error: Why it failed; None where it did not.
    """

    action: Action
    source: str
    destination: str
    size_bytes: int = 0
    error: AisioError | OSError | None = None

    @property
    def name(self) -> str:
        """What errors call it: the source, or what was to be deleted."""
        return self.source or self.destination
