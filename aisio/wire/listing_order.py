"""The two orders of an AIStore listing, and the places in a listing where they differ.

A target walks its disks folder by folder, and sorts a folder by its name without the slash: it
comes to "train/1" before "train-b" and "train.txt". The proxy sorts what the targets send by whole
names, cuts a page there and goes on behind its last name: "train-b" < "train.txt" < "train/1".

So two names come in different orders only where one is in a folder D/ and the other begins with D
and a character below "/". Names are lost only by a page border between such two, and that border
begins with D itself, followed by "/" or by a character below it: the border alone tells every D.

Source:
    AIStore 5.0: fs/walkbck.go, fs/walk_godir.go (the walk), xact/xs/lso.go (a target's part of a
    page), ais/plstcx.go (a page); checked against a live cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

_LAST = chr(0x10FFFF) * 8


def between(name: str, following: str) -> str:
    """Return the shortest text that is greater than a name and begins the following one."""
    pairs = enumerate(zip(name, following, strict=False))
    return following[: next((at for at, (a, b) in pairs if a != b), len(name)) + 1]


def crossings(border: str, folder: str) -> Iterator[int]:
    """Yield where in a border the D end whose names may be on both sides of it, shortest first.

    Args:
        border: Any text: what is in order before it belongs to one page, the rest to the next.
        folder: The folder that is listed, "" or with "/" at its end. The walk is inside it, so that
            the folder itself is no D.
    """
    for at in range(len(folder) + 1, len(border)):
        if border[at] <= "/" and border[at - 1] != "/":
            yield at


def behind(folder: str) -> str:
    """Return a text behind all names in a folder and before all others that come later."""
    return folder + _LAST
