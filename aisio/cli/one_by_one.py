"""Work on many things, of which some fail: those are told, and the rest is done."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from aisio.cli.failures import message_of
from aisio.cli.output import tell
from aisio.errors import AisioError, StoreTimeoutError, ThrottledError, UnavailableError

_AWAY = (UnavailableError, StoreTimeoutError, ThrottledError)

_HOPELESS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EBADF}
)
"""What holds for all that is still to come: no space, no more open files, a closed stdout."""

_MOST_NAMED = 5


class OneByOne:
    """Goes on where one thing fails, and fails at the end if any did.

    Args:
        what: What the things are, in the plural.
        fatal: Errors that hold for all of them.
        most_away: Failures in a row, each after all retries, that mean that the store is gone; None
            where each thing may have a store of its own.

    Attributes:
        count: How many there were so far.
    """

    def __init__(
        self,
        what: str,
        *,
        fatal: tuple[type[AisioError], ...] = (),
        most_away: int | None = 3,
    ) -> None:
        self.count = 0
        self._what = what
        self._fatal = fatal
        self._most_away = most_away
        self._failed = 0
        self._named: list[str] = []
        self._away = 0

    @contextmanager
    def going_on(self, name: str) -> Iterator[None]:
        """Work on one thing; an error of it alone is told, and does not leave the block.

        Args:
            name: What the summary calls it.

        Raises:
            AisioError: It is fatal, or the store was away for several in a row.
            OSError: This machine can take no more files, or nobody reads the output.
        """
        self.count += 1
        try:
            yield
        except (AisioError, OSError) as error:
            self._away = self._away + 1 if isinstance(error, _AWAY) else 0
            is_gone = self._most_away is not None and self._away >= self._most_away
            if is_gone or isinstance(error, self._fatal) or _is_hopeless(error):
                raise
            text = message_of(error)
            tell(f"error: {text}" if name in text else f"error: {name}: {text}")
            self._failed += 1
            self._named += [name] * (len(self._named) < _MOST_NAMED)
        else:
            self._away = 0

    def finish(self) -> None:
        """Sum up what failed.

        Raises:
            AisioError: Something did.
        """
        if self._failed:
            more = ", ..." if self._failed > len(self._named) else ""
            raise AisioError(
                f"{self._failed:,} of {self.count:,} {self._what} failed: "
                f"{', '.join(self._named)}{more}"
            )


def _is_hopeless(error: Exception) -> bool:
    if isinstance(error, AisioError):
        return False
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and error.errno in _HOPELESS
    )
