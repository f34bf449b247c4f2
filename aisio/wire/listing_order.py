"""The two orders of an AIStore listing, and where they differ.

A target walks its disks folder by folder, and sorts a folder by its name without the slash: it
reaches "train/1" before "train-b" and "train.txt". The proxy sorts the names from all targets
bytewise, ends a page there, and continues after its last name: "train-b" < "train.txt" < "train/1".

So two names come in different orders only if one is in a folder D/ and the other begins with D and
a character below "/". Names are lost only if the border between two pages lies between two such
names. Such a border begins with D, followed by "/" or a character below it. So the border itself
tells every D.

Source:
    AIStore 5.0: fs/walkbck.go, fs/walk_godir.go (the walk), xact/xs/lso.go (a target's part of a
    page), ais/plstcx.go (a page); checked against a live cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

_LAST = chr(0x10FFFF) * 8


def between(name: str, following: str) -> str:
    """Return the shortest beginning of the following name that is greater than a name."""
    pairs = enumerate(zip(name, following, strict=False))
    return following[: next((at for at, (a, b) in pairs if a != b), len(name)) + 1]


def crossings(border: str, folder: str) -> Iterator[int]:
    """Yield the length of each D whose names may be on both sides of a border, shortest first.

    Args:
        border: Any text: names up to it belong to one page, the others to the next.
        folder: The folder that is listed, "" or with "/" at its end. The walk is inside it, so it
            is no D itself.
    """
    for at in range(len(folder) + 1, len(border)):
        if border[at] <= "/" and border[at - 1] != "/":
            yield at


def after_folder(folder: str) -> str:
    """Return a text greater than all names in a folder, and less than all that follow them."""
    return folder + _LAST
