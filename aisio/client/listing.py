"""Listing a bucket of a cluster page by page, with the names that AIStore's paging leaves out.

AIStore leaves out two kinds of names without saying so.

1. Names out of order. A target walks its folders in another order than the one in which pages are
   cut; see `aisio.wire.listing_walk`.
2. Objects out of place. While a cluster rebalances, for minutes or hours, objects lie on nodes
   where they do not belong any more. They can be read all that time, but AIStore does not list
   them. So each page is requested together with what is out of place.

A name that no node has in its place is an object as long as a job of the cluster moves objects.
Without such a job it may be a leftover of an object that was deleted since. Or it is an object
whose job was aborted, or ended after the node had looked. So each such name is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from aisio.client.session import Session
from aisio.errors import StorageError
from aisio.records import ObjectInfo
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.retries import RETRYABLE
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.listing import Page, enclosing_range, list_message, parse_page
from aisio.wire.listing_walk import (
    ListingWalk,
    PageRequest,
    Run,
    by_tokens,
)

__all__ = ["list_bucket"]

_MOVING_JOBS = frozenset({"rebalance", "resilver"})
"""The jobs that move objects, between nodes and between the disks of one node."""

_NAMES_PER_FOLDER = 10
_MAX_NAMES = 10_000
"""Names are requested ahead to prove folders: so many cost less than a request for each folder."""

_log = logging.getLogger(__name__)


def list_bucket(
    session: Session,
    url: ObjectUrl,
    exists: Callable[[str], bool],
    *,
    prefix: str,
    props: str,
    start_after: str,
    page_size: int,
    recursive: bool,
) -> Iterator[ObjectInfo]:
    """List the objects of a bucket; see `Bucket.list`.

    Args:
        session: Sends the requests.
        url: The bucket.
        exists: Tells whether the object of a name can be read.
        prefix: See `Bucket.list`, also for the others.
        props: What to list of each object.
        start_after: Only names after this one.
        page_size: Maximum number of entries of a page; 0 for the server's own.
        recursive: False for one level.
    """
    fetcher = _PageFetcher(session, url, props)
    first = PageRequest(prefix, "", "", page_size, recursive, start_after)
    pages = (
        _pages_of_ais(fetcher, first) if url.provider == "ais" else _pages_of_cloud(fetcher, first)
    )
    for page in pages:
        if fetcher.unconfirmed:
            yield from (i for i in page if i.name not in fetcher.unconfirmed or exists(i.name))
        else:
            yield from page


def _pages_of_cloud(fetcher: _PageFetcher, first: PageRequest) -> Iterator[Run]:
    return by_tokens(fetcher.fetch, first, fetcher.url.root)


def _pages_of_ais(fetcher: _PageFetcher, first: PageRequest) -> Iterator[Run]:
    prefix = first.folder
    folder, before = enclosing_range(prefix)
    folder_bytes = 0 if "size" in fetcher.props else None
    walk = ListingWalk(
        fetcher.fetch, fetcher.url.root, page_size=first.page_size, folder_bytes=folder_bytes
    )
    list_folder = walk.below if first.recursive else walk.level
    pages = list_folder(folder, max(first.start_after, before))
    if folder != prefix:
        pages = _with_prefix(pages, prefix)
    return pages if first.recursive else _without_empty_folders(fetcher, folder, pages)


def _without_empty_folders(
    fetcher: _PageFetcher, parent: str, pages: Iterable[Run]
) -> Iterator[Run]:
    """Yield the pages of a level without the folders that have no object; see `ListingWalk.level`.

    One page of names proves small folders, all at once. Each other one costs a request.
    """
    for page in pages:
        folders = [info.name for info in page if info.name.endswith("/")]
        if not folders:
            yield page
            continue
        size = min(_NAMES_PER_FOLDER * len(folders), _MAX_NAMES)
        first = fetcher.fetch(PageRequest(parent, page[0].name, "", size, recursive=True))
        level = len(parent)
        proven = {info.name[: info.name.find("/", level) + 1] for info in first.entries}
        others = [name for name in folders if name not in proven]
        found = fetch_in_order(others, fetcher.has_objects, result_bytes=lambda _: 1)
        proven.update(name for name, exists in zip(others, found, strict=True) if exists)
        yield [one for one in page if not one.name.endswith("/") or one.name in proven]


def _with_prefix(pages: Iterator[Run], prefix: str) -> Iterator[Run]:
    """Yield the names with a prefix out of pages in order; stop at the first name after them."""
    for page in pages:
        yield [info for info in page if info.name.startswith(prefix)]
        if page and page[-1].name > prefix and not page[-1].name.startswith(prefix):
            return


class _PageFetcher:
    """Fetches the pages of one listing.

    Attributes:
        url: The bucket.
        props: What the caller wants to know of each object.
        unconfirmed: Names that no node has in its place while no job moves objects.
    """

    def __init__(self, session: Session, url: ObjectUrl, props: str) -> None:
        self.url = url
        self.props = self._requested_props = props
        self.unconfirmed: set[str] = set()
        self._session = session

    def fetch(self, request: PageRequest) -> Page:
        """Fetch a page, and note which of its names are unconfirmed."""
        page = self._fetch_once(request, self._requested_props)
        if page.is_rebalancing and self._requested_props == "name" and self.url.provider == "ais":
            # For names alone AIStore does not look at objects, and leaves out those out of place.
            self._requested_props = "name,size"
            page = self._fetch_once(request._replace(uuid=""), self._requested_props)
        if page.misplaced and not _moves_objects(self._session, self.url):
            self.unconfirmed |= page.misplaced
        return page

    def has_objects(self, folder: str) -> bool:
        """Tell whether there is an object in a folder or below it."""
        page = self.fetch(PageRequest(folder, "", "", 1, recursive=True))
        return bool(page.entries or page.token)

    def _fetch_once(self, request: PageRequest, props: str) -> Page:
        response = self._session.call(
            "GET",
            messages.bucket_path(self.url.bucket),
            query=messages.bucket_query(self.url),
            message=list_message(
                prefix=request.folder,
                props=props,
                token=request.after,
                uuid=request.uuid,
                start_after=request.start_after,
                page_size=request.page_size,
                recursive=request.recursive,
            ),
            accept=messages.MSGPACK,
            about=str(self.url),
        )
        content_type = response.headers.get("Content-Type", "")
        return parse_page(response.body, content_type, self.url.root, self.props)


def _moves_objects(session: Session, url: ObjectUrl) -> bool:
    """Ask the cluster whether a job moves objects now; False where it does not say."""
    try:
        response = session.call(
            "GET", "/v1/cluster", query={"what": "running_all"}, message={}, about=str(url)
        )
    except StorageError as error:
        if isinstance(error, RETRYABLE):
            raise
        _log.debug("listing %s: it is not known whether the cluster rebalances: %s", url, error)
        return False
    return not _MOVING_JOBS.isdisjoint(messages.parse_running_jobs(response.body, f"listing {url}"))
