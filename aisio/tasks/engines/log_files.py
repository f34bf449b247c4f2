"""Reading what the processes of a task print, while they print it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["follow_lines", "read_lines"]

_POLL_INTERVAL_S = 0.1
_READ_BYTES = 256 * 1024


def read_lines(files: Sequence[Path], last: int | None = None) -> list[str]:
    """Return the lines of log files, one file after the other; or the last ones.

    A file that does not exist yet is empty. A last line without its end counts; what is not UTF-8
    is replaced.

    Raises:
        ValueError: `last` is negative.
    """
    if last is not None and last < 0:
        raise ValueError(f"last={last} must be at least 0")
    lines: deque[str] = deque(maxlen=last)
    for file in files:
        tail = _Tail(file)
        lines.extend(tail.new_lines())
        lines.extend(tail.rest())
    return list(lines)


def follow_lines(
    files: Callable[[], Sequence[Path]], is_finished: Callable[[], bool]
) -> Iterator[str]:
    """Yield the lines of log files, and new ones as they are written, until the task has finished.

    Args:
        files: Returns the files, in which more may appear.
        is_finished: Whether nothing more will be written.
    """
    tails: dict[Path, _Tail] = {}
    while True:
        finished = is_finished()  # asked first: what is written until then is read below
        for file in files():
            yield from tails.setdefault(file, _Tail(file)).new_lines()
        if finished:
            break
        time.sleep(_POLL_INTERVAL_S)
    for tail in tails.values():
        yield from tail.rest()


class _Tail:
    """One log file, and how far it has been read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self._cut = b""

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines that were written since."""
        try:
            file = self._file.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._position)
            while block := file.read(_READ_BYTES):
                self._position += len(block)
                *lines, self._cut = (self._cut + block).split(b"\n")
                yield from map(_text, lines)

    def rest(self) -> Iterator[str]:
        """Yield the line that never got its end, if there is one."""
        if self._cut:
            yield _text(self._cut)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
