"""Work on many items, of which some may fail: each failure is reported, and the rest is done."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from aisio.cli.error_handler import error_message
from aisio.cli.output import write_note
from aisio.errors import (
    AisioError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)

T = TypeVar("T")

_UNAVAILABLE = (UnavailableError, StoreTimeoutError, ThrottledError)

_HOPELESS_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EBADF}
)
"""Errors that all later items would meet too: no space, no more open files, a closed stdout."""

_STORE_IS_FULL = 507
"""Source: RFC 4918, section 11.5; AIStore answers it above its high watermark."""

_MAX_NAMED = 5


class FailureCollector:
    """Collects the failures of single items, and raises one error for all of them at the end.

    Args:
        item_kind: What the items are, in the plural, as in "objects".
        fatal: Errors that would repeat for every item; they are raised at once.
        max_unavailable: Items in a row that may fail, each after all retries, because their store
            is unavailable; the last of them is raised at once. None is without bound, for items
            that may each have a store of its own.

    Attributes:
        attempted: Items so far, failed ones included.
        failed: Those of them that failed.
    """

    def __init__(
        self,
        item_kind: str,
        *,
        fatal: tuple[type[AisioError], ...] = (),
        max_unavailable: int | None = 3,
    ) -> None:
        self.attempted = self.failed = 0
        self._item_kind = item_kind
        self._fatal = fatal
        self._max_unavailable = max_unavailable
        self._unavailable_in_a_row = 0
        self._first_failed: list[str] = []

    @contextmanager
    def collect(self, name: str) -> Iterator[None]:
        """Work on one item; an error that concerns this item alone is reported and suppressed.

        Args:
            name: What the summary calls the item.

        Raises:
            AisioError: It is fatal, the store is full, or it was unavailable for several items in
                a row.
            OSError: This machine cannot write any more files, or stdout has no reader.
        """
        self.attempted += 1
        try:
            yield
        except (AisioError, OSError) as error:
            if self._ends_all(error):
                raise
            text = error_message(error)
            write_note(f"error: {text}" if name in text else f"error: {name}: {text}")
            self.failed += 1
            if len(self._first_failed) < _MAX_NAMED:
                self._first_failed.append(name)
        else:
            self._unavailable_in_a_row = 0

    def raise_if_any(self) -> None:
        """Sum up the failures.

        Raises:
            AisioError: At least one item failed.
        """
        if self.failed:
            more = ", ..." if self.failed > len(self._first_failed) else ""
            raise AisioError(
                f"{self.failed:,} of {self.attempted:,} {self._item_kind} failed: "
                f"{', '.join(self._first_failed)}{more}"
            )

    def _ends_all(self, error: AisioError | OSError) -> bool:
        is_unavailable = isinstance(error, _UNAVAILABLE)
        self._unavailable_in_a_row = self._unavailable_in_a_row + 1 if is_unavailable else 0
        if self._unavailable_in_a_row == self._max_unavailable or isinstance(error, self._fatal):
            return True
        if isinstance(error, StorageError) and error.status == _STORE_IS_FULL:
            return True
        # Some AisioErrors are OSErrors too; what they say is about the store, not this machine.
        return not isinstance(error, AisioError) and (
            isinstance(error, BrokenPipeError) or error.errno in _HOPELESS_ERRNOS
        )


def work_on_each(urls: Sequence[T], work: Callable[[T], None]) -> None:
    """Work on each URL of a command line; those that fail are reported, the others are done.

    Args:
        urls: What the user named. The error of a single one is raised as it is.
        work: Called with each, in their order.

    Raises:
        AisioError: At least one failed, or what failed would fail for all.
        OSError: As `FailureCollector.collect`.
    """
    if len(urls) == 1:
        work(urls[0])
        return
    failures = FailureCollector("URLs")
    for url in urls:
        with failures.collect(str(url)):
            work(url)
    failures.raise_if_any()
