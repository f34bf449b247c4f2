"""Listing every name of a bucket, although AIStore's own paging loses some.

Names are lost if the border between two pages has names in a folder D/ on one side and names like
D-b or D.txt on the other. `aisio.wire.listing_order` explains why, and finds each D that a border
may cross. So the walk chooses its own borders as tokens for the next page; targets only compare a
token with names.

- Most borders cross no D, or only a D for which there is no folder D/, as one request finds out.
- Else the border is moved back to D, if that keeps most of the page.
- Else the neighbours of D are listed separately: a listing of one level finds the objects and
  folders next to D/, and then each of these folders is listed. The walk continues after D/.

Why no name is lost: a name before the border is missing from a page only if its target filled its
part of the page with names that it walks earlier. These are as many as the whole page holds. So one
of them is after the border; otherwise there would be more names before the border than the page
holds. That one is in D/, the missing name is next to D/, and both begin with D: the border crosses
D. A target loses its position in a walk only if its names change sides of the border, which also
happens only at such a D. All this holds whatever is put or deleted meanwhile, except for a folder
D/ that is deleted after a target walked it: see `ListingWalk._border`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo
from aisio.wire.listing import Page
from aisio.wire.listing_order import after_folder, between, crossings

_MIN_LEVEL_SIZE = 1000
"""Minimum number of entries in a page of one level: see `_level_border`; a name has at most 255
bytes."""

_MIN_KEPT = 0.75
"""A border is moved back if at least this fraction of the page is kept. Listing a folder separately
takes about three requests."""

_MAX_FOLDERS = 8
"""The folders after D/ in a page of one level are listed one by one if they are no more than this:
each takes a request. With small pages they always are."""

_SMALL_PAGE = 200
_MARGIN = 100
"""See `ListingWalk._border`: in a page that is not small, one name in this many is left after the
border."""

_MAX_EMPTY_PAGES = 1000
"""Maximum number of successive pages without a new name; a cluster sends none."""

_name = attrgetter("name")


class PageRequest(NamedTuple):
    """A request for a page.

    Attributes:
        folder: "" or with "/" at its end.
        after: Continuation token: only names after it. In an ais bucket any text is a token.
        uuid: The listing to continue; "" starts a new walk.
        page_size: Maximum number of entries; 0 for the server's own limit.
        recursive: False for one level.
        start_after: As `after`, in a bucket with tokens of the server's own.
    """

    folder: str
    after: str
    uuid: str
    page_size: int
    recursive: bool
    start_after: str = ""


Run: TypeAlias = "list[ObjectInfo]"
_Item: TypeAlias = "Run | Iterator[_Item]"


class ListingWalk:
    """Lists one bucket in bytewise order.

    Args:
        fetch: Fetches one page from the cluster.
        root: URL of the bucket, for errors and for folders.
        page_size: Maximum number of entries of a page; 0 for the server's own limit.
        level_size: Minimum number of entries in a page of one level.
        small_page: Pages with fewer entries than this are cut without a margin.
        folder_bytes: The size that folders have in the listing.
    """

    def __init__(
        self,
        fetch: Callable[[PageRequest], Page],
        root: str,
        *,
        page_size: int = 0,
        level_size: int = _MIN_LEVEL_SIZE,
        small_page: int = _SMALL_PAGE,
        folder_bytes: int | None = 0,
    ) -> None:
        self._fetch = fetch
        self._root = root
        self._page_size = page_size
        self._small_page = small_page
        self._max_folders = (
            _MAX_FOLDERS if page_size == 0 or page_size >= small_page else level_size
        )
        self._folder_bytes = folder_bytes
        self._level_size = max(page_size, level_size) if page_size else 0

    def below(self, folder: str, after: str) -> Iterator[Run]:
        """Yield the objects in a folder and all its folders, in runs, each of one page."""
        # A stack instead of recursion: folders may be deeper than Python's stack.
        stack = [self._below(folder, after)]
        while stack:
            for item in stack[-1]:
                if isinstance(item, list):
                    yield item
                else:
                    stack.append(item)
                    break
            else:
                stack.pop()

    def level(self, folder: str, after: str) -> Iterator[Run]:
        """Yield the objects and folders in a folder; folders end in "/".

        A level of AIStore has also folders whose objects were all deleted, as their directories
        stay on its disks.
        """
        for run, _ in self._level(folder, after):
            yield run

    def _below(self, folder: str, after: str, page: Page | None = None) -> Iterator[_Item]:
        """Yield runs, and for a folder that is listed separately an iterator over its items."""
        uuid = ""
        absent: set[str] = set()
        while True:
            page = page or self._page(folder, after, uuid)
            entries = page.entries
            if not page.token:
                yield entries
                return
            if _has_own_tokens(page):
                yield from self._rest(page, folder, recursive=True)
                return
            border, crossed = self._border(entries, folder, absent)
            start, after, uuid = after, crossed or border, page.uuid
            kept = bisect_right(entries, after, key=_name)
            yield entries[:kept]
            if crossed and kept < _MIN_KEPT * len(entries):
                inside = [info for info in entries[kept:] if info.name.startswith(f"{crossed}/")]
                first = Page(inside, page.token, "") if inside else None
                after, uuid = (yield from self._around(folder, crossed, start, first)), ""
                if not after:
                    return
            page = None

    def _around(
        self, folder: str, crossed: str, start: str, first: Page | None
    ) -> Generator[_Item, None, str]:
        """Yield the items in D/ and next to it; return where the folder goes on, "" for its end."""
        inner = f"{crossed}/"
        for run, border in self._level(folder, crossed):
            stop = bisect_right(run, inner, key=_name)
            has_later = stop < len(run)
            if sum(info.name.endswith("/") for info in run[stop:]) <= self._max_folders:
                stop = len(run)
            for name, files in _by_folder(run[:stop], start):
                yield files
                if name:
                    inside = start if start.startswith(name) else ""
                    yield self._below(name, inside, first if name == inner else None)
            if stop < len(run):
                return after_folder(inner)
            if has_later and border:
                return after_folder(border) if border.endswith("/") else border
        return ""

    def _level(self, folder: str, after: str) -> Iterator[tuple[Run, str]]:
        """Yield runs of a level, each with the border after it, "" for the last.

        In a level a folder is one name, so objects are never lost. A target may lose its position,
        and with it a folder that a border crossed: such folders are looked up.
        """
        uuid = ""
        unseen: list[str] = []  # folders that borders crossed, after the last border
        crossed: set[str] = set()
        while True:
            page = self._page(folder, after, uuid, recursive=False)
            if _has_own_tokens(page):
                for run in self._rest(page, folder, recursive=False):
                    yield run, ""
                return
            if not page.token:
                yield self._with_unseen(page.entries, unseen), ""
                return
            after, kept = _level_border(page.entries, folder)
            run = page.entries[:kept]
            due = [name for name in unseen if name <= after]
            yield self._with_unseen(run, due), after
            unseen = [name for name in unseen if name > after]
            for at in crossings(after, folder):
                name = f"{after[:at]}/"
                if after[at] != "/" and name not in crossed:
                    crossed.add(name)
                    unseen.append(name)
            uuid = page.uuid

    def _rest(self, page: Page, folder: str, *, recursive: bool) -> Iterator[Run]:
        """Yield a page and all that follow it, by the server's own tokens."""
        request = PageRequest(folder, "", "", self._page_size, recursive)
        return by_tokens(self._fetch, request, self._root, page)

    def _with_unseen(self, run: Run, unseen: list[str]) -> Run:
        """Return a run with those of the folders that it lacks and that exist."""
        if not unseen:
            return run
        names = {info.name for info in run}
        found = [
            ObjectInfo(self._root, name, self._folder_bytes)
            for name in unseen
            if name not in names and self._exists(name)
        ]
        return sorted([*run, *found], key=_name)

    def _border(self, entries: Run, folder: str, absent: set[str]) -> tuple[str, str]:
        """Return the border of a page, and the shortest D that it crosses, "" for none.

        D/ may have been deleted after a target walked it. In that target's part of the page, each
        of its names may have displaced a name before the border. So some names of the page are left
        after the border. A small page has too few names for that: its border counts as crossing D.
        """
        border = entries[-1].name
        if next(crossings(border, folder), 0):
            border = _border_before(entries, len(entries) - 1)
        if next(crossings(border, folder), 0) and len(entries) >= self._small_page:
            border = _border_before(entries, len(entries) - max(len(entries) // _MARGIN, 1))
        for at in crossings(border, folder):
            crossed = border[:at]
            if border[at] == "/" or len(entries) < self._small_page:
                return border, crossed
            if crossed not in absent:
                if self._exists(f"{crossed}/"):
                    return border, crossed
                absent.add(crossed)
        return border, ""

    def _exists(self, folder: str) -> bool:
        page = self._fetch(PageRequest(folder, "", "", 1, recursive=True))
        return bool(page.entries or page.token)

    def _page(self, folder: str, after: str, uuid: str, *, recursive: bool = True) -> Page:
        size = self._page_size if recursive else self._level_size
        request = PageRequest(folder, after, uuid, size, recursive)
        page = self._fetch_sorted(request)
        if uuid and not recursive and _begins_before(page, after):
            # A target has lost its position in a level, and sends names again.
            page = self._fetch_sorted(request._replace(uuid=""))
        if _begins_before(page, after):
            raise IntegrityError(
                f"listing {self._root}: page after page has names up to {after!r}, as "
                f"{page.entries[0].name!r}: the server does not go on where it is asked to",
                url=self._root,
            )
        return page

    def _fetch_sorted(self, request: PageRequest) -> Page:
        page = self._fetch(request)
        page.entries.sort(key=_name)
        return page


def by_tokens(
    fetch: Callable[[PageRequest], Page], first: PageRequest, root: str, page: Page | None = None
) -> Iterator[Run]:
    """Yield the pages of a bucket that the server lists in bytewise order, by its own tokens.

    Args:
        fetch: Fetches one page.
        first: The request for the first page.
        root: URL of the bucket, for errors.
        page: The first page, if it was fetched already.

    Raises:
        IntegrityError: The listing does not end: a token comes twice, or page after page has no new
            name. Or a page has an object of the page before again, which would be read twice.
    """
    page = page or fetch(first)
    tokens: set[str] = set()
    greatest, empty = "", 0
    while page.token:
        yield page.entries
        last = max(map(_name, page.entries), default="")
        empty = 0 if last > greatest else empty + 1
        greatest = max(greatest, last)
        if page.token in tokens or empty > _MAX_EMPTY_PAGES:
            raise IntegrityError(
                f"listing {root}: it does not end: the token {page.token!r} came before, or "
                f"{empty:,} pages in succession had no new name; the greatest was {greatest!r}",
                url=root,
            )
        tokens.add(page.token)
        following = fetch(first._replace(after=page.token, uuid=page.uuid))
        if min(map(_name, following.entries), default=greatest) <= last:
            _require_new(page, following, root)
        page = following
    yield page.entries


def _require_new(page: Page, following: Page, root: str) -> None:
    """Refuse a page that has objects of the page before it.

    Raises:
        IntegrityError: It has.
    """
    before = set(map(_name, page.entries))
    for info in following.entries:
        if info.name in before and not info.name.endswith("/"):
            raise IntegrityError(
                f"listing {root}: the page behind the token {page.token!r} has {info.name!r}, as"
                " the page before it: the server does not go on where it is asked to",
                url=root,
            )


def _by_folder(run: Run, start: str) -> Iterator[tuple[str, Run]]:
    """Yield each folder of a level with the objects before it, and "" with the last ones.

    Names up to `start` are skipped.
    """
    files: Run = []
    for info in run:
        if not info.name.endswith("/"):
            if info.name > start:
                files.append(info)
        elif info.name > start or start.startswith(info.name):
            yield info.name, files
            files = []
    yield "", files


def _begins_before(page: Page, after: str) -> bool:
    return bool(page.entries) and page.entries[0].name <= after


def _has_own_tokens(page: Page) -> bool:
    """Tell whether the token is not the last name of the page, as it is in ais buckets."""
    return bool(page.token) and (not page.entries or page.token != page.entries[-1].name)


def _border_before(entries: Run, index: int) -> str:
    """Return the shortest border just before an entry, so that it crosses few D."""
    last = entries[index].name
    return between(entries[index - 1].name, last) if index else last


def _level_border(entries: Run, folder: str) -> tuple[str, int]:
    """Return the border of a level's page, and how many entries are before it.

    In a target's part of the page, each D/ after the border may have displaced a name before it.
    So at least as many names are left after the border as it crosses D.
    """
    for index in range(len(entries) - 1, 0, -1):
        border = _border_before(entries, index)
        kept = bisect_right(entries, border, key=_name)
        if kept + sum(1 for _ in crossings(border, folder)) <= len(entries):
            return border, kept
    return entries[-1].name, len(entries)
