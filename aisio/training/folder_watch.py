"""FolderWatch: warns where the basenames of samples do not tell them apart."""

from __future__ import annotations

import warnings

from aisio.escapes import one_line
from aisio.shards.samples import Sample

__all__ = ["FolderWatch"]


class FolderWatch:
    """Warns once if samples are in different folders, which their basenames do not show.

    Args:
        reader: Name of the class that reads, to begin the warning with.
    """

    def __init__(self, reader: str) -> None:
        self._reader = reader
        self._first: str | None = None
        self._has_warned = False

    def check(self, sample: Sample) -> None:
        """Compare the folder of the next sample with that of the first."""
        folder = sample.key[: -len(sample.basename)]
        if folder == self._first or self._has_warned:
            return
        if self._first is None:
            self._first = folder
            return
        self._has_warned = True
        warnings.warn(
            f"<{self._reader}> {one_line(sample.url)}: samples lie in different folders, as"
            f" {self._first!r} and {folder!r}, and the basenames that are yielded do not tell in"
            " which: pass full_key=True for whole keys, or full_key=False if that is meant",
            stacklevel=3,
        )
