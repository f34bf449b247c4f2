"""The archive that answers a get-batch: its options, and the payloads of its members."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import NamedTuple

from aisio.errors import ConfigError, NotSupportedError, StoreTimeoutError
from aisio.formats.decompress import Decompressed, ReadIntoStream
from aisio.formats.tar import NEED_DATA, TarMember, TarParser
from aisio.stats import thread_counters, waiting
from aisio.transport.http.response_body import MeasuredBody, OpenResponse, body_of
from aisio.transport.low_speed import LowSpeedLimit
from aisio.wire.batch import BatchEntry, BatchMatcher, BatchOutcome, parse_batch_metadata
from aisio.wire.multipart import MultipartResponse

__all__ = ["BatchArchive", "BatchOptions", "MemberReader", "check_options"]

_COMPRESSIONS = {".tar": "", ".tgz": "gzip", ".tar.gz": "gzip", ".tar.lz4": "lz4"}

_PIECE_BYTES = 128 * 1024


class BatchOptions(NamedTuple):
    """How a batch is made, sent and read.

    Attributes:
        streaming: The server sends the archive while it makes it. If false it completes the archive
            first and sends the size of each member with it; the sizes are then compared.
        mime: Format of the archive on the wire: .tar, .tgz, .tar.gz or .tar.lz4.
        colocation: 1 lets the node that holds most of the objects assemble the batch.
        pause_s: A longer wait for bytes is a pause: the server waits for a node that does not
            answer. While a node is down, or the cluster rebalances, an archive of AIStore 5.0
            pauses again and again: 120 s in all for 10 MB (seen on a live cluster).
        skip_after_timeout_s: How long a session sends no batches after one that timed out.
    """

    streaming: bool = True
    mime: str = ".tar"
    colocation: int = 0
    pause_s: float = 1.0
    skip_after_timeout_s: float = 60.0


def check_options(options: BatchOptions) -> None:
    """Refuse what no server or client can do.

    Raises:
        ConfigError: An unknown format of the archive, or another colocation than 0 and 1.
        NotSupportedError: Colocation is 2, which AIStore has a name for, but does not implement.
    """
    if options.mime not in _COMPRESSIONS:
        forms = ", ".join(_COMPRESSIONS)
        raise ConfigError(f"get-batch: output_format={options.mime!r}; expected one of {forms}")
    if options.colocation == 2:
        raise NotSupportedError(
            "get-batch: colocation=2 (TARGET_AND_SHARD_AWARE): AIStore does not implement it yet;"
            " expected 0 or 1"
        )
    if options.colocation not in (0, 1):
        raise ConfigError(f"get-batch: colocation={options.colocation!r}; expected 0 or 1")


class BatchArchive:
    """The archive in a response, decompressed, and what the server says of its members.

    Args:
        response: The open response.
        entries: What was requested, in order.
        options: How it was requested.
        about: What errors name.
        low_speed: The low-speed limit of the response; None for none.

    Attributes:
        stream: The bytes of the tar.
    """

    def __init__(
        self,
        response: OpenResponse,
        entries: list[BatchEntry],
        options: BatchOptions,
        about: str,
        low_speed: LowSpeedLimit | None,
    ) -> None:
        self._entries = entries
        self._matcher: BatchMatcher | None = None
        body = MeasuredBody(body_of(response, about), low_speed, about)
        stream: ReadIntoStream = body
        self._part: _ArchivePart | None = None
        if not options.streaming:
            content_type = response.headers.get("Content-Type", "")
            stream = self._part = _ArchivePart(body, MultipartResponse(content_type))
        kind = _COMPRESSIONS[options.mime]
        self.stream = Decompressed(kind, b"", stream, about) if kind else stream

    @property
    def matcher(self) -> BatchMatcher:
        """Matches members with entries. Use it only after a read: the metadata comes first."""
        if self._matcher is None:
            self._matcher = BatchMatcher(self._entries, outcomes=self._outcomes())
        return self._matcher

    def _outcomes(self) -> tuple[BatchOutcome, ...] | None:
        if self._part is None:
            return None
        return parse_batch_metadata(self._part.multipart.metadata or b"", self._entries)


class _ArchivePart:
    """The bytes of the archive in a multipart response."""

    def __init__(self, body: MeasuredBody, multipart: MultipartResponse) -> None:
        self._body = body
        self.multipart = multipart
        self._unread = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._unread:
            piece = self._body.read(_PIECE_BYTES)
            if not piece:
                self.multipart.finish()
                return 0
            self._unread = memoryview(self.multipart.feed(piece))
        count = min(len(buffer), len(self._unread))
        buffer[:count] = self._unread[:count]
        self._unread = self._unread[count:]
        return count


class MemberReader:
    """Reads the members of an archive, in the order of the entries.

    Args:
        archive: The archive; it is read to its end, so that missing members are noticed.
        about: What errors name.
        pause_s: See `BatchOptions`.
        max_paused_s: How long all pauses together may be; None for any time.
    """

    def __init__(
        self, archive: BatchArchive, about: str, *, pause_s: float, max_paused_s: float | None
    ) -> None:
        self._archive = archive
        self._about = about
        self._pause_s = pause_s
        self._max_paused_s = inf if max_paused_s is None else max_paused_s
        self._paused_s = 0.0
        self._parser = TarParser(about)
        self._parsing_since = perf_counter()

    def payloads(self) -> Iterator[bytes | None]:
        """Yield the payload of each member, None where the server reports the object as missing.

        Raises:
            IntegrityError: A member is not the one that was requested.
            ShardError: The archive is cut or damaged.
            StoreTimeoutError: All pauses together were too long.
        """
        while True:
            event = self._parser.next_event()
            if event is NEED_DATA:
                self._fill()
            elif isinstance(event, TarMember):
                match = self._archive.matcher.match(event.name, event.size_bytes)
                payload = self._payload()
                self._count_parsing()
                yield payload if match.is_found else None
                self._parsing_since = perf_counter()
            else:
                self._count_parsing()
                return

    def _payload(self) -> bytes:
        while (payload := self._parser.read_payload()) is NEED_DATA:
            self._fill()
        return payload

    def _fill(self) -> None:
        self._count_parsing()
        if self._paused_s > self._max_paused_s:
            raise StoreTimeoutError(f"{self._about}: silent for {self._paused_s:.1f} s in all")
        started = perf_counter()
        with waiting(self._about, "read_s") as counters:
            count = self._archive.stream.readinto(self._parser.get_buffer())
            counters.bytes_read += count or 0
        self._parsing_since = perf_counter()
        waited_s = self._parsing_since - started
        if waited_s > self._pause_s:
            self._paused_s += waited_s
        if count:
            self._parser.buffer_updated(count)
        else:
            self._parser.finish()

    def _count_parsing(self) -> None:
        thread_counters().parse_s += perf_counter() - self._parsing_since
