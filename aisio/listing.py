"""Listing a bucket of a cluster: page by page, and whole while the cluster moves its objects.

Where nodes come and go, a cluster rebalances: for minutes or hours objects lie on nodes where they
do not belong any more. They can be read all that time, but AIStore's listing leaves them out, so
that an epoch would miss them without a word. So each page is asked for with what is out of place.
An object that is nowhere else counts while a job of the cluster moves objects; when none does, it
is what such a job left behind, perhaps of an object that was deleted since.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from aisio.errors import IntegrityError, StorageError
from aisio.records import ObjectInfo
from aisio.retries import RETRIED
from aisio.session import WorkerRequestClient
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.listing import Page, enclosing_range, list_message, parse_page

__all__ = ["list_bucket"]

_MOVING = frozenset({"rebalance", "resilver"})
"""The jobs that move objects, between nodes and between the disks of one."""

_log = logging.getLogger(__name__)


def list_bucket(
    requests: WorkerRequestClient,
    url: ObjectUrl,
    *,
    prefix: str,
    props: str,
    start_after: str,
    page_size: int,
    recursive: bool,
) -> Iterator[ObjectInfo]:
    """See `Bucket.list`."""
    folder = prefix
    if url.provider == "ais" and prefix and not prefix.endswith("/"):
        folder, first = enclosing_range(prefix)
        start_after = max(start_after, first)
    token = uuid = ""
    while True:
        message = list_message(
            prefix=folder,
            props=props,
            token=token,
            uuid=uuid,
            start_after=start_after,
            page_size=page_size,
            recursive=recursive,
        )
        page = _page(requests, url, props, message)
        for info in page.entries:
            if info.name.startswith(prefix):
                yield info
            elif info.name > prefix:
                return
        if not page.token:
            return
        if page.token == token:
            raise IntegrityError(
                f"listing {url}: page after page has the token {token!r}", url=str(url)
            )
        token, uuid = page.token, page.uuid


def _page(
    requests: WorkerRequestClient, url: ObjectUrl, props: str, message: dict[str, object]
) -> Page:
    reply = requests.call(
        "GET",
        messages.bucket_path(url.bucket),
        query=messages.bucket_query(url),
        message=message,
        accept=messages.MSGPACK,
        about=str(url),
    )
    page = parse_page(reply.body, reply.headers.get("Content-Type", ""), url.root, props)
    if not page.astray:
        return page
    if _moves_objects(requests, url):
        _log.info("listing %s: %d objects are on their way", url, len(page.astray))
        return page
    return page._replace(entries=[info for info in page.entries if info.name not in page.astray])


def _moves_objects(requests: WorkerRequestClient, url: ObjectUrl) -> bool:
    try:
        reply = requests.call(
            "GET", "/v1/cluster", query={"what": "running_all"}, message={}, about=str(url)
        )
    except StorageError as error:
        if isinstance(error, RETRIED):
            raise
        _log.warning("listing %s: objects that a rebalance moves may be missing: %s", url, error)
        return False
    return not _MOVING.isdisjoint(messages.parse_running(reply.body, f"listing {url}"))
