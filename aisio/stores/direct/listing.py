"""DirectListing: the objects of a bucket by obstore's listings, in order and without markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from aisio.errors import NotFoundError, StorageError
from aisio.records import ObjectInfo
from aisio.stores.direct.s3_listing import S3Listing, check_speaks_s3, just_before
from aisio.stores.direct.settings import DirectSettings
from aisio.transport.retries import RETRYABLE, Attempts
from aisio.urls import ObjectUrl

__all__ = ["DirectListing", "Entry"]

Entry: TypeAlias = dict[str, Any]
"""obstore's own record of an object: "path", "size" and others."""


class DirectListing:
    """The objects whose names begin with a prefix.

    Args:
        prefix: Bucket and prefix.
        list_after: Lists the prefix's folder as obstore does, after a name; "" for all of it.
        head: See `Store.head`.
        settings: Endpoint, credentials and retry policy.
    """

    def __init__(
        self,
        prefix: ObjectUrl,
        list_after: Callable[[str], Iterator[Entry]],
        head: Callable[[ObjectUrl], ObjectInfo],
        settings: DirectSettings,
    ) -> None:
        self._prefix = prefix
        self._bucket = prefix.with_name("")
        self._list_after = list_after
        self._head = head
        self._settings = settings

    def entries(self, start_after: str) -> Iterator[Entry]:
        """Yield the entries after a name, in bytewise order, without folder markers.

        Raises:
            StorageError: The store lists out of order.
        """
        last = ""
        for entry, following in _with_next(self._with_retries(start_after)):
            name = entry["path"]
            if entry["size"] == 0:
                has_names_below = following is not None and following["path"].startswith(f"{name}/")
                has_extension = "." in name.rpartition("/")[2]
                may_be_marker = name <= last or has_names_below or not has_extension
                if may_be_marker and self._is_folder_marker(name):
                    continue
            if name <= last:
                raise StorageError(
                    f"list {self._prefix}: the store lists {name!r} after {last!r}: listings out "
                    f"of order (as of S3 Express) cannot be used",
                    url=str(self._prefix),
                )
            last = name
            yield entry

    def _with_retries(self, start_after: str) -> Iterator[Entry]:
        """Yield the entries with the prefix; a listing that breaks off continues after the last."""
        attempts = Attempts(self._settings.retry)
        while True:
            try:
                for entry in self._once(start_after):
                    yield entry
                    if entry["path"] > start_after:
                        start_after = entry["path"]
                        attempts.renew()
                return
            except RETRYABLE as error:
                attempts.failed(error)

    def _once(self, start_after: str) -> Iterator[Entry]:
        prefix = self._prefix.name
        first = max(just_before(prefix), start_after)
        entries = self._list_after(first)
        if self._prefix.provider == "aws":
            check_server = partial(check_speaks_s3, self._settings, self._prefix)
            listing = S3Listing(self._prefix, self._list_after, self._exists, check_server)
            entries = listing.entries(first)
        for entry in entries:
            path = entry["path"]
            if path.startswith(prefix) and path > start_after:
                yield entry
            elif path[: len(prefix)] > prefix:
                return

    def _exists(self, name: str) -> bool:
        try:
            self._head(self._bucket.with_name(name))
        except NotFoundError:
            return False
        return True

    def _is_folder_marker(self, name: str) -> bool:
        """Tell whether an empty entry is the object `name/`, which obstore shows as `name`."""
        try:
            return self._head(self._bucket.with_name(name)).size_bytes != 0
        except NotFoundError:
            return True


def _with_next(entries: Iterator[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Yield each entry with the one after it; None after the last."""
    entry = next(entries, None)
    while entry is not None:
        following = next(entries, None)
        yield entry, following
        entry = following
