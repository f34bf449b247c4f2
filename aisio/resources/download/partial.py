"""What there is of a download: the bytes so far, and beside them of which version they are.

The state is written before the first byte of a version, so the bytes are never of another one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from aisio.files import PARTIAL_SUFFIX
from aisio.resources.cache.own_files import new_file, read_regular

_LONGEST_STATE_BYTES = 1024 * 1024


class State(msgspec.Struct, frozen=True):
    """Of what a partial file holds the beginning.

    Attributes:
        url: Its origin.
        version: As the origin gave it.
        size_bytes: Of the whole; None if the origin did not say.
    """

    url: str
    version: str
    size_bytes: int | None


class Partial:
    """The files of an unfinished download, beside its target.

    Args:
        target: What they will become.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
        self._state_path = target.with_name(f".{target.name}.json{PARTIAL_SUFFIX}")

    def state(self) -> State | None:
        """Return of what the bytes are; None where there are none that can be gone on with."""
        try:
            if not self.path.lstat().st_size:
                return None
            text = read_regular(self._state_path, _LONGEST_STATE_BYTES)
            return None if text is None else msgspec.json.decode(text, type=State)
        except (OSError, ValueError, msgspec.DecodeError):  # in older versions no ValueError
            return None

    def note(self, state: State | None) -> None:
        """Say of what the next bytes are; None: nothing that could be gone on with."""
        self._state_path.unlink(missing_ok=True)
        if state is not None:
            # Where it cannot be written, as for a name that is too long, all begins anew next time.
            with suppress(OSError), os.fdopen(new_file(self._state_path), "wb") as file:
                file.write(msgspec.json.encode(state))

    def finish(self) -> None:
        """Give the bytes their name."""
        self.path.replace(self.target)
        self._state_path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)
