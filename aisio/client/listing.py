"""Listing a bucket of a cluster: page by page, and whole whatever AIStore's own paging leaves out.

Two things would be left out without a word. What is out of order, because a target walks its
folders in another order than pages are cut in: see `aisio.wire.listing_walk`.

And what is out of place. Where nodes come and go, a cluster rebalances: for minutes or hours
objects lie on nodes where they do not belong any more. They can be read all that time, but
AIStore's listing leaves them out. So each page is asked for with what is out of place.
A name that is nowhere in its place counts while a job of the cluster moves objects. When none does,
it may be what such a job left behind of an object that was deleted since; or the job was aborted,
or ended after the node had looked: then each is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from aisio.client.session import Session
from aisio.errors import StorageError
from aisio.records import ObjectInfo
from aisio.transport.retries import RETRYABLE
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.listing import Page, enclosing_range, list_message, parse_page
from aisio.wire.listing_walk import (
    PageRequest,
    Run,
    Walk,
    by_tokens,
)

__all__ = ["list_bucket"]

_MOVING = frozenset({"rebalance", "resilver"})
"""The jobs that move objects, between nodes and between the disks of one."""

_log = logging.getLogger(__name__)


def list_bucket(
    requests: Session,
    url: ObjectUrl,
    is_there: Callable[[str], bool],
    *,
    prefix: str,
    props: str,
    start_after: str,
    page_size: int,
    recursive: bool,
) -> Iterator[ObjectInfo]:
    """See `Bucket.list`; `is_there` tells whether an object of a name can be read."""
    pages = _Pages(requests, url, props)
    for run in _runs(pages, prefix, start_after, page_size, recursive=recursive):
        if pages.doubtful:
            yield from (i for i in run if i.name not in pages.doubtful or is_there(i.name))
        else:
            yield from run


def _runs(
    pages: _Pages, prefix: str, start_after: str, page_size: int, *, recursive: bool
) -> Iterator[Run]:
    """Yield what has the prefix."""
    if pages.url.provider != "ais":
        first = PageRequest(prefix, "", "", page_size, recursive, start_after)
        yield from by_tokens(pages.fetch, first, pages.url.root)
        return
    folder, before = enclosing_range(prefix)
    folder_bytes = 0 if "size" in pages.props else None
    walk = Walk(pages.fetch, pages.url.root, page_size=page_size, folder_bytes=folder_bytes)
    runs = (walk.below if recursive else walk.level)(folder, max(start_after, before))
    for run in runs:
        if folder == prefix:
            yield run
            continue
        yield [info for info in run if info.name.startswith(prefix)]
        if run and run[-1].name > prefix and not run[-1].name.startswith(prefix):
            return


class _Pages:
    """Fetches the pages of one listing.

    Attributes:
        doubtful: Names that are nowhere in their place, though nothing moves objects.
    """

    def __init__(self, requests: Session, url: ObjectUrl, props: str) -> None:
        self.url = url
        self.props = self._wanted = props
        self.doubtful: set[str] = set()
        self._requests = requests

    def fetch(self, request: PageRequest) -> Page:
        """Fetch a page, and find out which of its names are doubtful."""
        page = self._page(request, self._wanted)
        if page.is_unsettled and self._wanted == "name" and self.url.provider == "ais":
            # AIStore looks at no object for its name alone, and leaves out what is out of place.
            self._wanted = "name,size"
            page = self._page(request._replace(uuid=""), self._wanted)
        if page.astray and not _moves_objects(self._requests, self.url):
            self.doubtful |= page.astray
        return page

    def _page(self, request: PageRequest, props: str) -> Page:
        reply = self._requests.call(
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
        content_type = reply.headers.get("Content-Type", "")
        return parse_page(reply.body, content_type, self.url.root, self.props)


def _moves_objects(requests: Session, url: ObjectUrl) -> bool:
    try:
        reply = requests.call(
            "GET", "/v1/cluster", query={"what": "running_all"}, message={}, about=str(url)
        )
    except StorageError as error:
        if isinstance(error, RETRYABLE):
            raise
        _log.debug("listing %s: it is not known whether the cluster rebalances: %s", url, error)
        return False
    return not _MOVING.isdisjoint(messages.parse_running(reply.body, f"listing {url}"))
