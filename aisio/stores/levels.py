"""One level of a listing: the objects directly below a prefix, and folders in place of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from aisio.records import ObjectInfo

__all__ = ["one_level"]

_SKIPPED_ONE_BY_ONE = 1000
"""As many names as a page of S3 has. A listing that begins anew costs a request at least."""

_LAST = "\U0010ffff"
"""The character that sorts last; a name behind it would show its folder once more."""


def one_level(
    list_after: Callable[[str], Iterable[ObjectInfo]], prefix: str, *, begins_anywhere: bool = True
) -> Iterator[ObjectInfo]:
    """Yield objects, and each folder as an entry without a size whose name ends in "/".

    The objects in a folder are passed over. After many of them a new listing begins behind the
    folder, unless the store would read all names from the first on for it.

    Args:
        list_after: Lists the objects that begin with the prefix, and sort behind a name ("": all).
        prefix: The prefix.
        begins_anywhere: Whether the store can begin a listing behind a name.
    """
    folder = start_after = ""
    while True:
        skipped = 0
        for info in list_after(start_after):
            slash = info.name.find("/", len(prefix))
            if slash < 0:
                yield info
            elif info.name[: slash + 1] != folder:
                folder, skipped = info.name[: slash + 1], 0
                yield msgspec.structs.replace(info, name=folder, size_bytes=None, checksum=None)
            elif begins_anywhere:
                skipped += 1
                if skipped == _SKIPPED_ONE_BY_ONE and start_after != folder + _LAST:
                    start_after = folder + _LAST
                    break
        else:
            return
