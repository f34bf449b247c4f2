"""Every name of a bucket, though AIStore's own paging loses some.

Names are lost where a page border has names in a folder D/ on one side and names like D-b or D.txt
on the other; `aisio.wire.listing_order` says why, and finds each D that a border may cross. So the
token for the next page is a border that is chosen here; targets only compare it with names.

- Most borders cross no D, or only such that there is no folder D/, which one request finds out.
- Else the border is moved back to D, if that keeps most of the page.
- Else the neighbourhood of D is listed by itself: the objects and folders beside D/ by a listing of
  one level, then each of these folders. The listing goes on behind D/.

Why nothing is lost then: a name before the border is missing from a page only if its target filled
its part of the page with names that it walks earlier. They are as many as the whole page has, so
one of them is behind the border, or there would be more names before it than there are. That one
is in D/, the missing name is beside it, and both begin with D: the border crosses D. Nor can a
target lose its place in what it has walked unless its names change sides, and do so at such a D.
This holds whatever is put or deleted meanwhile, but for a folder D/ that is deleted after it was
walked: see `Walk._border`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo
from aisio.wire.listing import Page
from aisio.wire.listing_order import behind, between, crossings

_LEVEL_SIZE = 1000
"""Entries of a level's page, at the least: see `_level_border`; a name has at most 255 bytes."""

_LEAST_KEPT = 0.75
"""A border is moved back if this part of the page is kept. To list a folder by itself takes about
three requests."""

_FEW_FOLDERS = 8
"""What a page of a level has behind D/ is listed folder by folder if there are at most so many: a
folder takes a request. With small pages that is so anyway."""

_SMALL_PAGE = 200
_MARGIN = 100
"""See `Walk._border`: of a page that is not small, one name in so many is left behind the border.
"""

_MOST_EMPTY = 1000
"""Pages in succession without a name: a cluster sends none."""

_name = attrgetter("name")


class PageRequest(NamedTuple):
    """What page to fetch.

    Attributes:
        folder: "" or with "/" at its end.
        after: Only names behind this token. For an ais bucket any text is one.
        uuid: The listing to go on with; "" walks afresh.
        page_size: Most entries; 0 for the server's own limit.
        recursive: False for one level.
        start_after: As `after`, where tokens are the server's own.
    """

    folder: str
    after: str
    uuid: str
    page_size: int
    recursive: bool
    start_after: str = ""


Run: TypeAlias = "list[ObjectInfo]"
_Item: TypeAlias = "Run | Iterator[_Item]"


class Walk:
    """The names of one bucket, in bytewise order.

    Args:
        fetch: Gets one page from the cluster.
        root: URL of the bucket, for errors and for folders.
        page_size: Most entries of a page; 0 for the server's own limit.
        level_size: Entries of a level's page, at the least.
        small_page: Entries of a page that is cut with a margin, at the least.
        folder_bytes: The size that folders have.
    """

    def __init__(
        self,
        fetch: Callable[[PageRequest], Page],
        root: str,
        *,
        page_size: int = 0,
        level_size: int = _LEVEL_SIZE,
        small_page: int = _SMALL_PAGE,
        folder_bytes: int | None = 0,
    ) -> None:
        self._fetch = fetch
        self._root = root
        self._page_size = page_size
        self._small_page = small_page
        self._few_folders = (
            _FEW_FOLDERS if page_size == 0 or page_size >= small_page else level_size
        )
        self._folder_bytes = folder_bytes
        self._level_size = max(page_size, level_size) if page_size else 0

    def below(self, folder: str, after: str) -> Iterator[Run]:
        """Yield the objects in a folder and in its folders, in runs, each of one page."""
        # Not by recursion: folders may be deeper than Python's stack.
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
        """Yield the objects and folders in a folder; folders end in "/"."""
        for run, _ in self._level(folder, after):
            yield run

    def _below(self, folder: str, after: str, page: Page | None = None) -> Iterator[_Item]:
        """Yield runs, and where a folder is to be listed by itself the iterator over that."""
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
            if crossed and kept < _LEAST_KEPT * len(entries):
                inside = [info for info in entries[kept:] if info.name.startswith(f"{crossed}/")]
                first = Page(inside, page.token, "") if inside else None
                after, uuid = (yield from self._beside(folder, crossed, start, first)), ""
                if not after:
                    return
            page = None

    def _beside(
        self, folder: str, crossed: str, start: str, first: Page | None
    ) -> Generator[_Item, None, str]:
        """Yield what is in D/ and beside it; return where the folder goes on, "" for nowhere."""
        inner = f"{crossed}/"
        for run, border in self._level(folder, crossed):
            stop = bisect_right(run, inner, key=_name)
            has_later = stop < len(run)
            if sum(info.name.endswith("/") for info in run[stop:]) <= self._few_folders:
                stop = len(run)
            for name, files in _by_folder(run[:stop], start):
                yield files
                if name:
                    inside = start if start.startswith(name) else ""
                    yield self._below(name, inside, first if name == inner else None)
            if stop < len(run):
                return behind(inner)
            if has_later and border:
                return behind(border) if border.endswith("/") else border
        return ""

    def _level(self, folder: str, after: str) -> Iterator[tuple[Run, str]]:
        """Yield runs of a level, each with the border behind it, "" for the last.

        In a level a folder is one name, so objects are never lost. A target may lose its place,
        and with it a folder that a border crossed: such folders are looked up.
        """
        uuid = ""
        owed: list[str] = []
        settled: set[str] = set()
        while True:
            page = self._page(folder, after, uuid, recursive=False)
            if _has_own_tokens(page):
                for run in self._rest(page, folder, recursive=False):
                    yield run, ""
                return
            if not page.token:
                yield self._with_owed(page.entries, owed), ""
                return
            after, kept = _level_border(page.entries, folder)
            run = page.entries[:kept]
            due = [name for name in owed if name <= after]
            yield self._with_owed(run, due), after
            owed = [name for name in owed if name > after]
            for at in crossings(after, folder):
                name = f"{after[:at]}/"
                if after[at] != "/" and name not in settled:
                    settled.add(name)
                    owed.append(name)
            uuid = page.uuid

    def _rest(self, page: Page, folder: str, *, recursive: bool) -> Iterator[Run]:
        """Yield a page and all that follow it by the tokens of the server."""
        request = PageRequest(folder, "", "", self._page_size, recursive)
        return by_tokens(self._fetch, request, self._root, page)

    def _with_owed(self, run: Run, owed: list[str]) -> Run:
        if not owed:
            return run
        names = {info.name for info in run}
        found = [
            ObjectInfo(self._root, name, self._folder_bytes)
            for name in owed
            if name not in names and self._exists(name)
        ]
        return sorted([*run, *found], key=_name)

    def _border(self, entries: Run, folder: str, absent: set[str]) -> tuple[str, str]:
        """Return the border of a page, and the shortest D that it crosses, "" for none.

        D/ may have been deleted since a target walked it. Each of its names may have taken the
        place of a name before the border in that target's part of the page. So the border leaves
        some names of the page behind it. A small page has too few: it counts as crossing D.
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
        page = self._fetched(request)
        if uuid and not recursive and _begins_before(page, after):
            # A target lost its place in a level, and sends again what it has sent.
            page = self._fetched(request._replace(uuid=""))
        if _begins_before(page, after):
            raise IntegrityError(
                f"listing {self._root}: page after page has names up to {after!r}, as "
                f"{page.entries[0].name!r}: the server does not go on where it is asked to",
                url=self._root,
            )
        return page

    def _fetched(self, request: PageRequest) -> Page:
        page = self._fetch(request)
        page.entries.sort(key=_name)
        return page


def by_tokens(
    fetch: Callable[[PageRequest], Page], first: PageRequest, root: str, page: Page | None = None
) -> Iterator[Run]:
    """Yield the pages of a bucket that is listed in bytewise order, by the server's own tokens.

    Args:
        fetch: Gets one page.
        first: Asks for the first page.
        root: URL of the bucket, for errors.
        page: The first page, where it was fetched already.

    Raises:
        IntegrityError: The listing would not end: a token comes again, or page after page has no
            new name.
    """
    page = page or fetch(first)
    tokens: set[str] = set()
    greatest, empty = "", 0
    while page.token:
        yield page.entries
        last = max(map(_name, page.entries), default="")
        empty = 0 if last > greatest else empty + 1
        greatest = max(greatest, last)
        if page.token in tokens or empty > _MOST_EMPTY:
            raise IntegrityError(
                f"listing {root}: it does not end: the token {page.token!r} came before, or "
                f"{empty:,} pages in succession had no new name; the greatest was {greatest!r}",
                url=root,
            )
        tokens.add(page.token)
        page = fetch(first._replace(after=page.token, uuid=page.uuid))
    yield page.entries


def _by_folder(run: Run, start: str) -> Iterator[tuple[str, Run]]:
    """Yield each folder of a level after the objects before it, and "" after the last ones.

    What is not behind `start` is left out.
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
    """Tell whether a page is none of AIStore's, whose token is the last name of the page."""
    return bool(page.token) and (not page.entries or page.token != page.entries[-1].name)


def _border_before(entries: Run, index: int) -> str:
    """Return a border just before an entry, as short as can be, so that it has few D."""
    last = entries[index].name
    return between(entries[index - 1].name, last) if index else last


def _level_border(entries: Run, folder: str) -> tuple[str, int]:
    """Return the border of a level's page, and how many entries are before it.

    Each D/ behind the border may have taken the place of a name before it in a target's part of
    the page. So at least as many names as the border crosses D are left behind it.
    """
    for index in range(len(entries) - 1, 0, -1):
        border = _border_before(entries, index)
        kept = bisect_right(entries, border, key=_name)
        if kept + sum(1 for _ in crossings(border, folder)) <= len(entries):
            return border, kept
    return entries[-1].name, len(entries)
