"""The archive that answers a get-batch: its options, and its members as objects."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from aisio.errors import (
    ConfigError,
    StoreTimeoutError,
)
from aisio.formats.decompress import Decompressed, ReadIntoStream
from aisio.formats.tar import NEED_DATA, TarMember, TarParser
from aisio.stats import thread_counters, waiting
from aisio.transport.http.response_body import MeasuredBody, OpenReply, ReplyBody
from aisio.transport.low_speed import LowSpeedLimit
from aisio.wire.batch import (
    BatchEntry,
    BatchMatcher,
    BatchOutcome,
    parse_batch_reply,
)
from aisio.wire.multipart import MultipartReply

if TYPE_CHECKING:
    pass


_COMPRESSIONS = {".tar": "", ".tgz": "gzip", ".tar.gz": "gzip", ".tar.lz4": "lz4"}


_PIECE_BYTES = 128 * 1024


_SILENT_S = 1.0
"""A wait of this length is for a node that does not answer, not for bytes on their way. While one
is down, or the cluster rebalances, an archive of AIStore 5.0 pauses again and again: 120 s in all,
for 10 MB (seen on a live cluster)."""


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


class _Archive:
    """The archive in a reply, unwrapped, and what is known of its members."""

    def __init__(
        self,
        response: OpenReply,
        entries: list[BatchEntry],
        options: BatchOptions,
        about: str,
        low_speed: LowSpeedLimit | None,
    ) -> None:
        self._entries = entries
        self._matcher: BatchMatcher | None = None
        reply = MeasuredBody(ReplyBody(response, about), low_speed, about)
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
        thread_counters().parse_s += perf_counter() - self._parsing_since
