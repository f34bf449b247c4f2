"""The file of an unfinished download, and beside it which version its bytes are of.

The state is written before the first byte of a version, so it never names another version.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.resources.cache.own_files import create_file, read_regular_file

_MAX_STATE_BYTES = 1024 * 1024


class PartialState(msgspec.Struct, frozen=True):
    """Where the bytes of a partial file come from.

    Attributes:
        url: URL of the origin.
        version: Version of the resource, as the origin names it.
        size_bytes: Size of the whole resource; None if the origin did not say.
    """

    url: str
    version: str
    size_bytes: int | None


class PartialFile:
    """The file of an unfinished download, and its state, beside the target.

    Args:
        target: The file that it becomes.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
        self._state_path = target.with_name(f".{target.name}.json{PARTIAL_SUFFIX}")

    def read_state(self) -> PartialState | None:
        """Return the state; None where there are no bytes that a download can resume."""
        try:
            if not self.path.lstat().st_size:
                return None
            text = read_regular_file(self._state_path, _MAX_STATE_BYTES)
            return None if text is None else msgspec.json.decode(text, type=PartialState)
        # DecodeError is no ValueError in older versions of msgspec.
        except (OSError, ValueError, msgspec.DecodeError):
            return None

    def write_state(self, state: PartialState | None) -> None:
        """Note where the next bytes come from; with None no later download resumes them."""
        self._remove_state()
        if state is not None:
            # Without a state, as where its name is too long, the next download starts over.
            with suppress(OSError), os.fdopen(create_file(self._state_path), "wb") as file:
                file.write(msgspec.json.encode(state))

    def finish(self) -> None:
        """Rename the file to the target, and remove the state."""
        self.path.replace(self.target)
        self._remove_state()

    def remove(self) -> None:
        """Remove the file and its state."""
        self.path.unlink(missing_ok=True)
        self._remove_state()

    def _remove_state(self) -> None:
        try:
            self._state_path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
