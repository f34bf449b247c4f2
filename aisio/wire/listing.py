"""A page of a listing in msgpack, and the flags of listings: what client and gateway both know.

Source:
    AIStore 5.0, api/apc/lsmsg.go and cmn/objlist.go; checked against a live cluster.
"""

from __future__ import annotations

import msgspec

CACHED = 1 << 0
ARCHIVES = 1 << 3
NAME_ONLY = 1 << 4
NAME_SIZE = 1 << 5
NOT_CACHED = 1 << 9
NO_RECURSION = 1 << 11
DIFF = 1 << 12
INVENTORY = 1 << 15
"""These, of a request, say what to list."""

STATUS_MASK = 0b11111
IN_CLUSTER = 1 << 6
IN_ARCHIVE = 1 << 7
IS_DIRECTORY = 1 << 8
IS_ARCHIVE = 1 << 9
IN_PARTS = 1 << 13
"""These, of an entry, say what it is. Within the mask lies what is wrong with it, 0 for nothing."""


class PackedEntry(msgspec.Struct, omit_defaults=True, gc=False):
    """An object or folder of a page.

    Attributes:
        n: Name.
        cs: Checksum, without its type.
        a: When it was read last.
        v: Version.
        t: Where it lies.
        m: Custom metadata.
        s: Size in bytes.
        c: How many copies there are.
        f: Flags.
    """

    n: str
    cs: str = ""
    a: str = ""
    v: str = ""
    t: str = ""
    m: str = ""
    s: int = 0
    c: int = 0
    f: int = 0


class PackedPage(msgspec.Struct):
    """A page.

    Attributes:
        uuid: The listing's id.
        token: What to send for the next page; "" after the last.
        entries: In order.
        flags: Of the page.
    """

    uuid: str = msgspec.field(name="UUID", default="")
    token: str = msgspec.field(name="ContinuationToken", default="")
    entries: list[PackedEntry] | None = msgspec.field(name="Entries", default=None)
    flags: int = msgspec.field(name="Flags", default=0)
