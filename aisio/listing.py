"""Listing a bucket of a cluster: page by page, and whole while the cluster moves its objects.

Where nodes come and go, a cluster rebalances: for minutes or hours objects lie on nodes where they
do not belong any more. They can be read all that time, but AIStore's listing leaves them out, so
that an epoch would miss them without a word. So each page is asked for with what is out of place.
A name that is nowhere in its place counts while a job of the cluster moves objects. When none does,
it may be what such a job left behind of an object that was deleted since; or the job was aborted,
or ended after the node had looked: then each is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

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
    is_there: Callable[[str], bool],
    *,
    prefix: str,
    props: str,
    start_after: str,
    page_size: int,
    recursive: bool,
) -> Iterator[ObjectInfo]:
    """See `Bucket.list`; `is_there` tells whether an object of a name can be read."""
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
        doubtful = page.astray if page.astray and not _moves_objects(requests, url) else ()
        for info in page.entries:
            if not info.name.startswith(prefix):
                if info.name > prefix:
                    return
            elif info.name not in doubtful or is_there(info.name):
                yield info
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
    return parse_page(reply.body, reply.headers.get("Content-Type", ""), url.root, props)


def _moves_objects(requests: WorkerRequestClient, url: ObjectUrl) -> bool:
    try:
        reply = requests.call(
            "GET", "/v1/cluster", query={"what": "running_all"}, message={}, about=str(url)
        )
    except StorageError as error:
        if isinstance(error, RETRIED):
            raise
        _log.debug("listing %s: it is not known whether the cluster rebalances: %s", url, error)
        return False
    return not _MOVING.isdisjoint(messages.parse_running(reply.body, f"listing {url}"))
