"""Get-batch: many objects of a cluster in one response, with each of them accounted for.

    items ──> BatchEntries ──one request──> archive ──framed, matched──> (ObjectInfo, bytes) ...
                                               └─ whatever it does not deliver ──> plain GETs

The archive carries no checksums. It may end early and still look whole, and it may report as
missing what another node has (see `aisio.wire.batch`). So a member counts only if its name is that
of the next entry, and if its size and checksum are those that the caller knows, if any. At the
first doubt the archive is not read any further. Everything that it did not deliver, and everything
that it reports as missing, is read by a GET of its own. Those reads are verified, and their errors
are the ones that the caller sees.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from time import monotonic, perf_counter
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from aisio.client.batch_archive import BatchArchive, BatchOptions, MemberReader, check_options
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
from aisio.transport.http.response_body import OpenResponse
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
"""What can be requested: an object, by any name; a BatchEntry; or (URL of an archive, member)."""

Missing: TypeAlias = Literal["raise", "skip", "none"]

_READ_SINGLY_STATUSES = frozenset({400, 404, 405, 409, 416, 501})
"""The server has no get-batch, or refuses the whole batch because of one entry, or its nodes do not
yet agree on the members of the cluster (409)."""

_log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """One entry of a batch, and what the caller knows of its object."""

    entry: BatchEntry
    info: ObjectInfo

    @property
    def is_whole_object(self) -> bool:
        return not (self.entry.archpath or self.entry.length)

    def accepts(self, data: bytes) -> bool:
        """Tell whether the bytes agree with the size and checksum that are known."""
        info = self.info
        if not self.is_whole_object:
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


_Result: TypeAlias = tuple[ObjectInfo, "bytes | None"]


def get_batch(
    session: Session,
    items: Iterable[BatchItem],
    options: BatchOptions,
    *,
    bucket_exists: Callable[[ObjectUrl], bool],
    missing: Missing = "raise",
    concurrency: int | Concurrency | None = None,
) -> Iterator[_Result]:
    """Read many objects in one request; see `Client.get_batch`.

    Args:
        session: Sends the requests.
        items: What to read.
        options: How the archive is made and read.
        bucket_exists: Tells whether the bucket of a URL exists.
        missing: See `Client.get_batch`.
        concurrency: See `Client.get_batch`.
    """
    check_options(options)
    if missing not in ("raise", "skip", "none"):
        raise ConfigError(f"get-batch: missing={missing!r}; expected raise, skip or none")
    batch = [_known_item(item) for item in items]
    limit = AdaptiveLimit(Concurrency.of(concurrency))
    reader = _SingleReader(session, missing, bucket_exists)
    results = _read_all(session, batch, options, reader, limit)
    return (result for result in results if result[1] is not None or missing == "none")


def _read_all(
    session: Session,
    batch: list[_Item],
    options: BatchOptions,
    reader: _SingleReader,
    limit: AdaptiveLimit,
) -> Iterator[_Result]:
    done = 0
    for data in _read_archive(session, batch, options):
        item = batch[done]
        done += 1
        if data is not None and item.accepts(data):
            yield msgspec.structs.replace(item.info, size_bytes=len(data)), data
        else:
            yield reader.read(item)
    yield from fetch_in_order(
        batch[done:],
        reader.read,
        send_ahead=reader.send_ahead,
        limit=limit,
        size_of=_size_of,
        result_bytes=lambda result: len(result[1] or b""),
    )


def _size_of(item: _Item) -> int | None:
    return item.info.size_bytes if item.is_whole_object else item.entry.length or None


def _known_item(item: BatchItem) -> _Item:
    if isinstance(item, ObjectInfo):
        url = ObjectUrl.parse(f"{item.root}/").with_name(item.name)
        return _Item(BatchEntry(url), item)
    entry = _entry(item)
    name = f"{entry.url.name}/{entry.archpath.lstrip('/')}" if entry.archpath else entry.url.name
    return _Item(entry, ObjectInfo(entry.url.root, name))


def _entry(item: Object | BatchEntry | ObjectUrl | str | tuple[str, str]) -> BatchEntry:
    if isinstance(item, BatchEntry):
        return item
    if isinstance(item, tuple):
        url, archpath = item
        return BatchEntry(ObjectUrl.parse(url).require_object(), archpath)
    if isinstance(item, str):
        return BatchEntry(ObjectUrl.parse(item).require_object())
    return BatchEntry(item.url if isinstance(item, Object) else item)


class _SingleReader:
    """Reads entries by a GET each, and decides whether a missing one is an error."""

    def __init__(
        self, session: Session, missing: Missing, bucket_exists: Callable[[ObjectUrl], bool]
    ) -> None:
        self._session = session
        self._missing = missing
        self._bucket_exists = bucket_exists
        self._existing_buckets: set[str] = set()

    def read(self, item: _Item) -> _Result:
        entry, info = item
        source = Object(self._session, entry.url)
        try:
            if item.is_whole_object:
                return source.get_with_info()
            data = _read_member(source, entry) if entry.archpath else _read_range(source, entry)
        except NotFoundError:
            if not self._may_be_missing(entry.url):
                raise
            return info, None
        if entry.length and len(data) != entry.length:
            raise RangeError(
                f"get-batch {info.url}: {entry.length} bytes from {entry.start} on were asked "
                f"for, there are {len(data)}",
                url=info.url,
            )
        return msgspec.structs.replace(info, size_bytes=len(data)), data

    def send_ahead(self, item: _Item) -> PendingGet | None:
        """Send the request of a later `read`; None for anything but a whole object."""
        if not item.is_whole_object:
            return None
        return Object(self._session, item.entry.url).send_ahead()

    def _may_be_missing(self, url: ObjectUrl) -> bool:
        """Tell whether a missing object is no error: never where its whole bucket is missing."""
        if self._missing == "raise":
            return False
        if url.root not in self._existing_buckets and self._bucket_exists(url):
            self._existing_buckets.add(url.root)
        return url.root in self._existing_buckets


def _read_range(source: Object, entry: BatchEntry) -> bytes:
    return source.get(start=entry.start, stop=entry.start + entry.length)


def _read_member(source: Object, entry: BatchEntry) -> bytes:
    # AIStore refuses a range of a member.
    data = source.get_member(entry.archpath)
    return data[entry.start : entry.start + entry.length] if entry.length else data


def _read_archive(
    session: Session, batch: list[_Item], options: BatchOptions
) -> Iterator[bytes | None]:
    """Yield the payloads of an archive, entry by entry; end at the first doubt.

    A payload is None where the archive reports the object as missing.
    """
    if not batch or monotonic() < session.endpoint_state.no_batches_until_s:
        return
    entries = [item.entry for item in batch]
    about = f"get-batch of {len(entries)} from {entries[0].url.root}"
    response = _open_archive(session, entries, options, about)
    if response is None:
        return
    try:
        timeouts = session.settings.timeouts
        archive = BatchArchive(response, entries, options, about, LowSpeedLimit.of(timeouts))
        # urllib3 returns a piece only when it is full: on a slow line that is as long as a pause.
        max_paused_s = timeouts.read_s if isinstance(response, Response) else None
        members = MemberReader(archive, about, pause_s=options.pause_s, max_paused_s=max_paused_s)
        yield from members.payloads()
    except StoreTimeoutError as error:
        _skip_batches_for_a_while(session, options, about, error)
    except (StorageError, ShardError) as error:
        _log.debug("%s: what has not come is read object by object: %s", about, error)
    finally:
        response.close()


def _open_archive(
    session: Session, entries: list[BatchEntry], options: BatchOptions, about: str
) -> OpenResponse | None:
    """Send the request; return None where the objects are to be read one by one instead."""
    message = batch_message(
        entries, mime=options.mime, streaming=options.streaming, colocation=options.colocation
    )
    body = json.dumps(message).encode()

    def attempt() -> OpenResponse | None:
        try:
            return session.streams.open_following_redirects(
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
            # A batch waits for all of its nodes. A GET waits only for the one with its object.
            _skip_batches_for_a_while(session, options, about, error)
            return None
        except StorageError as error:
            if error.status not in _READ_SINGLY_STATUSES:
                raise
            _log.debug("%s: read object by object instead: %s", about, error)
            return None

    return session.retry(attempt)


def _skip_batches_for_a_while(
    session: Session, options: BatchOptions, about: str, error: StoreTimeoutError
) -> None:
    """Have this session read objects one by one for a while: GETs do not wait for a lost node."""
    skip_s = options.skip_after_timeout_s
    session.endpoint_state.no_batches_until_s = monotonic() + skip_s
    _log.warning("%s: all is read object by object for %.0f s: %s", about, skip_s, error)
