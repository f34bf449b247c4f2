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
from collections.abc import Iterable, Iterator
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from aisio.client.object import Object
from aisio.errors import (
    ConfigError,
    NotFoundError,
    RangeError,
    ShardError,
    StorageError,
    StoreTimeoutError,
)
from aisio.formats.checksums import new_hasher
from aisio.formats.decompress import Decompressed, ReadIntoStream
from aisio.formats.tar import NEED_DATA, TarMember, TarParser
from aisio.records import ObjectInfo
from aisio.stats import here, waiting
from aisio.transport.concurrency.limit import Concurrency, Pace
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import Asked
from aisio.transport.http.errors import never_connected
from aisio.transport.http.response import PlainReply
from aisio.transport.http.response_body import MeasuredBody, OpenReply, ReplyBody
from aisio.transport.low_speed import LeastRate
from aisio.urls import ObjectUrl
from aisio.wire.batch import (
    BatchEntry,
    BatchMatcher,
    BatchOutcome,
    batch_message,
    batch_path,
    batch_query,
    parse_batch_reply,
)
from aisio.wire.multipart import MultipartReply

if TYPE_CHECKING:
    from aisio.client.client import Client

__all__ = ["BatchItem", "BatchOptions", "Missing", "get_batch"]

BatchItem: TypeAlias = "Object | ObjectInfo | BatchEntry | ObjectUrl | str | tuple[str, str]"
"""What can be asked for: an object, by any name; a BatchEntry; or (URL of an archive, member)."""

Missing: TypeAlias = Literal["raise", "skip", "none"]

_COMPRESSIONS = {".tar": "", ".tgz": "gzip", ".tar.gz": "gzip", ".tar.lz4": "lz4"}
_ASK_ONE_BY_ONE = frozenset({400, 404, 405, 409, 416, 501})
"""The server has no get-batch, or refuses the whole for one entry's sake, or its nodes have not yet
agreed on who they are (409)."""

_PIECE_BYTES = 128 * 1024

_SILENT_S = 1.0
"""A wait of this length is for a node that does not answer, not for bytes on their way. While one
is down, or the cluster rebalances, an archive of AIStore 5.0 pauses again and again: 120 s in all,
for 10 MB (seen on a live cluster)."""

_LEFT_S = 60.0
"""How long objects are read one by one after a batch that was silent; GETs have no such pauses."""

_left_until: dict[str, float] = {}
"""Endpoint -> until when, of `time.monotonic`. A fork's child may know it too."""

_log = logging.getLogger(__name__)


class BatchOptions(NamedTuple):
    """How a batch travels.

    Attributes:
        streaming: Have the archive sent while it is made. Else the server completes it first, and
            tells each member's size beside it, which is then compared.
        mime: Form of the archive on the way: .tar, .tgz, .tar.gz or .tar.lz4.
        colocation: 1 has the node assemble the batch that holds most of its objects.
    """

    streaming: bool = True
    mime: str = ".tar"
    colocation: int = 0


def check_options(options: BatchOptions) -> None:
    """Refuse what no server or client can do.

    Raises:
        ConfigError: An unknown form of archive or colocation.
    """
    if options.mime not in _COMPRESSIONS:
        forms = ", ".join(_COMPRESSIONS)
        raise ConfigError(f"get-batch: output_format={options.mime!r}; expected one of {forms}")
    if options.colocation not in (0, 1):
        raise ConfigError(f"get-batch: colocation={options.colocation!r}; expected 0 or 1")


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
        here().verify_s += perf_counter() - started
        return is_same


_Found: TypeAlias = tuple[ObjectInfo, "bytes | None"]


def get_batch(
    client: Client,
    items: Iterable[BatchItem],
    options: BatchOptions,
    *,
    missing: Missing = "raise",
    concurrency: int | Concurrency | None = None,
) -> Iterator[_Found]:
    """See `Client.get_batch`."""
    check_options(options)
    if missing not in ("raise", "skip", "none"):
        raise ConfigError(f"get-batch: missing={missing!r}; expected raise, skip or none")
    wanted = [_wanted(item) for item in items]
    pace = Pace(Concurrency.of(concurrency))
    found = _read_all(client, wanted, options, missing, pace)
    return (one for one in found if one[1] is not None or missing == "none")


def _read_all(
    client: Client, wanted: list[_Wanted], options: BatchOptions, missing: Missing, pace: Pace
) -> Iterator[_Found]:
    alone = _Alone(client, missing)
    given = 0
    if wanted:
        for data in _from_archive(client, wanted, options):
            one = wanted[given]
            given += 1
            if data is not None and one.is_right(data):
                yield msgspec.structs.replace(one.info, size_bytes=len(data)), data
            else:
                yield alone.read(one)
    yield from fetch_in_order(
        wanted[given:],
        alone.read,
        ask=alone.ask,
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

    def __init__(self, client: Client, missing: Missing) -> None:
        self._client = client
        self._missing = missing
        self._buckets_there: set[str] = set()

    def read(self, one: _Wanted) -> _Found:
        entry = one.entry
        item = self._client.object(entry.url)
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

    def ask(self, one: _Wanted) -> Asked | None:
        """Send the request of a later `read`, of a whole object."""
        return self._client.object(one.entry.url).ask() if one.is_whole else None

    def _may_be_missing(self, url: ObjectUrl) -> bool:
        """Tell whether to pass over it: never where all of its bucket would be passed over."""
        if self._missing == "raise":
            return False
        if url.root not in self._buckets_there and self._client.bucket(url.root).exists():
            self._buckets_there.add(url.root)
        return url.root in self._buckets_there


def _range(item: Object, entry: BatchEntry) -> bytes:
    return item.get(start=entry.start, stop=entry.start + entry.length)


def _member(item: Object, entry: BatchEntry) -> bytes:
    # AIStore refuses a range of a member.
    data = item.get_member(entry.archpath)
    return data[entry.start : entry.start + entry.length] if entry.length else data


def _from_archive(
    client: Client, wanted: list[_Wanted], options: BatchOptions
) -> Iterator[bytes | None]:
    """Yield what the archive gives, entry by entry, None for a placeholder; end at any doubt."""
    if monotonic() < _left_until.get(client.endpoint, 0.0):
        return
    entries = [one.entry for one in wanted]
    about = f"get-batch of {len(entries)} from {entries[0].url.root}"
    response = _open(client, entries, options, about)
    if response is None:
        return
    try:
        timeouts = client.settings.timeouts
        archive = _Archive(response, entries, options, about, LeastRate.of(timeouts))
        # urllib3 waits until a piece is full: over a slow line that takes as long as a pause.
        patience_s = timeouts.read_s if isinstance(response, PlainReply) else None
        yield from _Framing(archive, about, patience_s).payloads()
    except StoreTimeoutError as error:
        _leave(client, about, error)
    except (StorageError, ShardError) as error:
        _log.debug("%s: what has not come is read object by object: %s", about, error)
    finally:
        response.close()


def _leave(client: Client, about: str, error: StoreTimeoutError) -> None:
    _left_until[client.endpoint] = monotonic() + _LEFT_S
    _log.warning("%s: all is read object by object for %.0f s: %s", about, _LEFT_S, error)


def _open(
    client: Client, entries: list[BatchEntry], options: BatchOptions, about: str
) -> OpenReply | None:
    """Send the request; None where there is no archive to be had."""
    message = batch_message(
        entries, mime=options.mime, streaming=options.streaming, colocation=options.colocation
    )
    body = json.dumps(message).encode()
    requests = client.requests

    def attempt() -> OpenReply | None:
        try:
            return requests.stream(
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
            _leave(client, about, error)
            return None
        except StorageError as error:
            if error.status not in _ASK_ONE_BY_ONE:
                raise
            _log.debug("%s: read object by object instead: %s", about, error)
            return None

    return requests.retry(attempt)


class _Archive:
    """The archive in a reply, unwrapped, and what is known of its members."""

    def __init__(
        self,
        response: OpenReply,
        entries: list[BatchEntry],
        options: BatchOptions,
        about: str,
        least_rate: LeastRate | None,
    ) -> None:
        self._entries = entries
        self._matcher: BatchMatcher | None = None
        reply = MeasuredBody(ReplyBody(response, about), least_rate, about)
        stream: ReadIntoStream = reply
        self._part: _ArchivePart | None = None
        if not options.streaming:
            content_type = response.headers.get("Content-Type", "")
            stream = self._part = _ArchivePart(reply, MultipartReply(content_type))
        kind = _COMPRESSIONS[options.mime]
        self.stream = Decompressed(kind, b"", stream, about) if kind else stream

    @property
    def matcher(self) -> BatchMatcher:
        """To be asked for when the archive has begun: the metadata is then there."""
        if self._matcher is None:
            self._matcher = BatchMatcher(self._entries, outcomes=self._outcomes())
        return self._matcher

    def _outcomes(self) -> tuple[BatchOutcome, ...] | None:
        if self._part is None:
            return None
        return parse_batch_reply(self._part.multipart.metadata or b"", self._entries)


class _ArchivePart:
    """The archive's bytes out of a multipart reply."""

    def __init__(self, reply: MeasuredBody, multipart: MultipartReply) -> None:
        self._reply = reply
        self.multipart = multipart
        self._held = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._held:
            piece = self._reply.read(_PIECE_BYTES)
            if not piece:
                self.multipart.finish()
                return 0
            self._held = memoryview(self.multipart.feed(piece))
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


class _Framing:
    """The members of an archive, in the order of the entries.

    Args:
        archive: Where they come from; it is read out, so that they can be counted.
        about: What was asked for, for errors.
        patience_s: How long it may be silent in all; None for ever.
    """

    def __init__(self, archive: _Archive, about: str, patience_s: float | None) -> None:
        self._archive = archive
        self._about = about
        self._patience_s = inf if patience_s is None else patience_s
        self._silent_s = 0.0
        self._parser = TarParser(about)
        self._parsing_since = perf_counter()

    def payloads(self) -> Iterator[bytes | None]:
        """Yield what is in the members, None for a placeholder.

        Raises:
            IntegrityError: A member is not what was asked for.
            ShardError: The archive is cut or damaged.
            StoreTimeoutError: It was silent too long, in all.
        """
        while True:
            event = self._parser.next_event()
            if event is NEED_DATA:
                self._fill()
            elif isinstance(event, TarMember):
                match = self._archive.matcher.match(event.name, event.size_bytes)
                payload = self._payload()
                self._count()
                yield payload if match.is_found else None
                self._parsing_since = perf_counter()
            else:
                self._count()
                return

    def _payload(self) -> bytes:
        while (payload := self._parser.read_payload()) is NEED_DATA:
            self._fill()
        return payload

    def _fill(self) -> None:
        self._count()
        if self._silent_s > self._patience_s:
            raise StoreTimeoutError(f"{self._about}: silent for {self._silent_s:.1f} s in all")
        started = perf_counter()
        with waiting(self._about, "read_s") as counters:
            count = self._archive.stream.readinto(self._parser.get_buffer())
            counters.bytes_read += count or 0
        self._parsing_since = perf_counter()
        if self._parsing_since - started > _SILENT_S:
            self._silent_s += self._parsing_since - started
        if count:
            self._parser.buffer_updated(count)
        else:
            self._parser.finish()

    def _count(self) -> None:
        here().parse_s += perf_counter() - self._parsing_since
