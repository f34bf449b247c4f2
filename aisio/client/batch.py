"""Get-batch: many objects of a cluster in one reply, none lost and none taken for another.

    items ──> BatchEntries ──one request──> archive ──framed, matched──> (ObjectInfo, bytes) ...
                                               └─ whatever it does not give ──> plain GETs

An archive carries no checksums, may end early and look whole, and may call missing what is only
elsewhere (see `aisio.wire.batch`). So a member counts only where its name, and its size and
checksum as far as they are known, are those of the entry whose turn it is. From the first doubt on
the archive is not read any further: what it has not given is read object by object, and what it
calls missing too. Those reads are verified, and their errors are the truth.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from time import monotonic, perf_counter
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from aisio.client.batch_archive import BatchOptions, _Archive, _Framing, check_options
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.errors import (
    ConfigError,
    NotFoundError,
    RangeError,
    ShardError,
    StorageError,
    StoreTimeoutError,
)
from aisio.formats.checksums import new_hasher
from aisio.records import Concurrency, ObjectInfo
from aisio.stats import thread_counters
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.http.errors import never_connected
from aisio.transport.http.response import Response
from aisio.transport.http.response_body import OpenReply
from aisio.transport.low_speed import LowSpeedLimit
from aisio.urls import ObjectUrl
from aisio.wire.batch import (
    BatchEntry,
    batch_message,
    batch_path,
    batch_query,
)

__all__ = ["BatchItem", "Missing", "get_batch"]

BatchItem: TypeAlias = "Object | ObjectInfo | BatchEntry | ObjectUrl | str | tuple[str, str]"
"""What can be asked for: an object, by any name; a BatchEntry; or (URL of an archive, member)."""

Missing: TypeAlias = Literal["raise", "skip", "none"]

_ASK_ONE_BY_ONE = frozenset({400, 404, 405, 409, 416, 501})
"""The server has no get-batch, or refuses the whole for one entry's sake, or its nodes have not yet
agreed on who they are (409)."""


_LEFT_S = 60.0
"""How long objects are read one by one after a batch that was silent; GETs have no such pauses."""


_log = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    entry: BatchEntry
    info: ObjectInfo

    @property
    def is_whole(self) -> bool:
        return not (self.entry.archpath or self.entry.length)

    def is_right(self, data: bytes) -> bool:
        """Tell whether this may be the object, by what is known of it."""
        info = self.info
        if not self.is_whole:
            return True
        if info.size_bytes is not None and info.size_bytes != len(data):
            return False
        hasher = new_hasher(info.checksum)
        if info.checksum is None or hasher is None:
            return True
        started = perf_counter()
        hasher.update(data)
        is_same = hasher.hexdigest() == info.checksum.value.lower()
        thread_counters().verify_s += perf_counter() - started
        return is_same


_Found: TypeAlias = tuple[ObjectInfo, "bytes | None"]


def get_batch(
    session: Session,
    items: Iterable[BatchItem],
    options: BatchOptions,
    *,
    bucket_exists: Callable[[ObjectUrl], bool],
    missing: Missing = "raise",
    concurrency: int | Concurrency | None = None,
) -> Iterator[_Found]:
    """See `Client.get_batch`.

    Args:
        session: The way to the cluster.
        items: See there; so are the others.
        options: How the archive is made.
        bucket_exists: Tells whether the bucket of a URL is there.
        missing: See there.
        concurrency: See there.
    """
    check_options(options)
    if missing not in ("raise", "skip", "none"):
        raise ConfigError(f"get-batch: missing={missing!r}; expected raise, skip or none")
    wanted = [_wanted(item) for item in items]
    pace = AdaptiveLimit(Concurrency.of(concurrency))
    alone = _Alone(session, missing, bucket_exists)
    found = _read_all(session, wanted, options, alone, pace)
    return (one for one in found if one[1] is not None or missing == "none")


def _read_all(
    session: Session,
    wanted: list[_Wanted],
    options: BatchOptions,
    alone: _Alone,
    pace: AdaptiveLimit,
) -> Iterator[_Found]:
    given = 0
    if wanted:
        for data in _from_archive(session, wanted, options):
            one = wanted[given]
            given += 1
            if data is not None and one.is_right(data):
                yield msgspec.structs.replace(one.info, size_bytes=len(data)), data
            else:
                yield alone.read(one)
    yield from fetch_in_order(
        wanted[given:],
        alone.read,
        send_ahead=alone.send_ahead,
        pace=pace,
        size_of=lambda one: one.info.size_bytes if one.is_whole else one.entry.length or None,
        result_bytes=lambda found: len(found[1] or b""),
    )


def _wanted(item: BatchItem) -> _Wanted:
    if isinstance(item, ObjectInfo):
        url = ObjectUrl.parse(f"{item.root}/").with_name(item.name)
        return _Wanted(BatchEntry(url), item)
    entry = _entry(item)
    name = f"{entry.url.name}/{entry.archpath.lstrip('/')}" if entry.archpath else entry.url.name
    return _Wanted(entry, ObjectInfo(entry.url.root, name))


def _entry(item: Object | BatchEntry | ObjectUrl | str | tuple[str, str]) -> BatchEntry:
    if isinstance(item, BatchEntry):
        return item
    if isinstance(item, tuple):
        url, archpath = item
        return BatchEntry(ObjectUrl.parse(url).require_object(), archpath)
    if isinstance(item, str):
        return BatchEntry(ObjectUrl.parse(item).require_object())
    return BatchEntry(item.url if isinstance(item, Object) else item)


class _Alone:
    """Reads entries one by one, and decides whether one that is missing may be."""

    def __init__(
        self, session: Session, missing: Missing, bucket_exists: Callable[[ObjectUrl], bool]
    ) -> None:
        self._session = session
        self._missing = missing
        self._bucket_exists = bucket_exists
        self._buckets_there: set[str] = set()

    def read(self, one: _Wanted) -> _Found:
        entry = one.entry
        item = Object(self._session, entry.url)
        try:
            if one.is_whole:
                return item.get_with_info()
            data = _member(item, entry) if entry.archpath else _range(item, entry)
        except NotFoundError:
            if not self._may_be_missing(entry.url):
                raise
            return one.info, None
        if entry.length and len(data) != entry.length:
            raise RangeError(
                f"get-batch {one.info.url}: {entry.length} bytes from {entry.start} on were asked "
                f"for, there are {len(data)}",
                url=one.info.url,
            )
        return msgspec.structs.replace(one.info, size_bytes=len(data)), data

    def send_ahead(self, one: _Wanted) -> PendingGet | None:
        """Send the request of a later `read`, of a whole object."""
        return Object(self._session, one.entry.url).send_ahead() if one.is_whole else None

    def _may_be_missing(self, url: ObjectUrl) -> bool:
        """Tell whether to pass over it: never where all of its bucket would be passed over."""
        if self._missing == "raise":
            return False
        if url.root not in self._buckets_there and self._bucket_exists(url):
            self._buckets_there.add(url.root)
        return url.root in self._buckets_there


def _range(item: Object, entry: BatchEntry) -> bytes:
    return item.get(start=entry.start, stop=entry.start + entry.length)


def _member(item: Object, entry: BatchEntry) -> bytes:
    # AIStore refuses a range of a member.
    data = item.get_member(entry.archpath)
    return data[entry.start : entry.start + entry.length] if entry.length else data


def _from_archive(
    session: Session, wanted: list[_Wanted], options: BatchOptions
) -> Iterator[bytes | None]:
    """Yield what the archive gives, entry by entry, None for a placeholder; end at any doubt."""
    if monotonic() < session.no_batches_until_s:
        return
    entries = [one.entry for one in wanted]
    about = f"get-batch of {len(entries)} from {entries[0].url.root}"
    response = _open(session, entries, options, about)
    if response is None:
        return
    try:
        timeouts = session.settings.timeouts
        archive = _Archive(response, entries, options, about, LowSpeedLimit.of(timeouts))
        # urllib3 waits until a piece is full: over a slow line that takes as long as a pause.
        patience_s = timeouts.read_s if isinstance(response, Response) else None
        yield from _Framing(archive, about, patience_s).payloads()
    except StoreTimeoutError as error:
        _leave(session, about, error)
    except (StorageError, ShardError) as error:
        _log.debug("%s: what has not come is read object by object: %s", about, error)
    finally:
        response.close()


def _leave(session: Session, about: str, error: StoreTimeoutError) -> None:
    session.no_batches_until_s = monotonic() + _LEFT_S
    _log.warning("%s: all is read object by object for %.0f s: %s", about, _LEFT_S, error)


def _open(
    session: Session, entries: list[BatchEntry], options: BatchOptions, about: str
) -> OpenReply | None:
    """Send the request; None where there is no archive to be had."""
    message = batch_message(
        entries, mime=options.mime, streaming=options.streaming, colocation=options.colocation
    )
    body = json.dumps(message).encode()

    def attempt() -> OpenReply | None:
        try:
            return session.stream(
                "GET",
                batch_path(entries),
                query=batch_query(entries, colocation=options.colocation),
                headers={"Content-Type": "application/json"},
                body=body,
                about=about,
            )
        except StoreTimeoutError as error:
            if never_connected(error):
                raise
            # A batch is silent while one node of many is; an object waits for its own alone.
            _leave(session, about, error)
            return None
        except StorageError as error:
            if error.status not in _ASK_ONE_BY_ONE:
                raise
            _log.debug("%s: read object by object instead: %s", about, error)
            return None

    return session.retry(attempt)
