"""TarStream: the stream of a tar shard, plain or compressed, and the parser it is read into."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Literal

from aisio.escapes import one_line
from aisio.formats.decompress import MAGIC_BYTES, Decompressed, ReadIntoStream, compression_of
from aisio.formats.tar import END, NEED_DATA, Signal, TarMember, TarParser
from aisio.shards.linked_files import Links, RecentFiles
from aisio.stats import thread_counters

__all__ = ["SOCKET_BUFFER_BYTES", "TarStream"]

SOCKET_BUFFER_BYTES = 1024 * 1024
"""The buffer for an archive of many MiB that comes off a socket: by 256 KiB at a time it takes a
quarter more processor time (samples of 70 KB, CPython 3.11), by more than this no less."""

_log = logging.getLogger("aisio.shard_reader")


class TarStream:
    """Reads a stream into a TarParser, and counts the seconds of parsing.

    Whoever uses it calls `detect_compression` first.

    Args:
        stream: The shard's bytes.
        url: The shard's URL.
        parser: As for `ShardPass`.

    Attributes:
        url: The shard's URL.
        name: The shard in the text of errors.
        parser: The parser; `detect_compression` may replace it.
        is_compressed: What `detect_compression` found.
        parsing_since: When the parsing that is not counted yet began, by perf_counter.
    """

    def __init__(self, stream: ReadIntoStream, url: str, parser: TarParser | None = None) -> None:
        self._stream = stream
        self.url = url
        self.name = one_line(url)
        self.parser = parser or TarParser(
            url, buffer_bytes=SOCKET_BUFFER_BYTES, allow_unreadable=True
        )
        self.is_compressed = False
        self._passed_over: list[TarMember] = []
        self._recent: RecentFiles | None = None  # of a compressed shard
        self.parsing_since = perf_counter()

    def detect_compression(self) -> None:
        """Read the first bytes, which say whether the shard is compressed."""
        start = b""
        while len(start) < MAGIC_BYTES:
            piece = memoryview(bytearray(MAGIC_BYTES - len(start)))
            count = self._stream.readinto(piece)
            if not count:
                break
            start += bytes(piece[:count])
        kind = compression_of(start)
        if not kind:
            self.parser.feed(start)
            return
        self.is_compressed = True
        self._recent = RecentFiles()
        self._stream = Decompressed(kind, start, self._stream, self.url)
        self.name = f"{one_line(self.url)} ({kind}; bytes are counted unpacked)"
        self.parser = TarParser(self.name, allow_unreadable=True)

    def next_member(self) -> TarMember | None:
        """Go to the next member, and return it; None at the end. Errors are those of the parser."""
        while (event := self.parser.next_event()) is NEED_DATA:
            self.fill()
        if event is END:
            return None
        assert isinstance(event, TarMember)
        if self._recent is not None:
            self._recent.forget(event.name)
        return event

    def read(self, read: Callable[[], bytes | Literal[Signal.NEED_DATA]]) -> bytes:
        """Return what a method of the parser reads, once the parser has all its bytes."""
        while (payload := read()) is NEED_DATA:
            self.fill()
        return payload

    def read_file(self, member: TarMember) -> bytes:
        """Return the payload of a regular file, at which the parser stands."""
        content = self.read(self.parser.read_payload)
        if self._recent is not None:
            self._recent.remember(member.name, content)
        return content

    def read_linked(self, link: TarMember, links: Links | None) -> bytes | None:
        """Return what a hard link stands for; None if it cannot be looked up.

        Args:
            link: The link.
            links: Looks it up in a shard that is not compressed.

        Raises:
            ShardError: See `LinkedFiles.read`.
        """
        if self._recent is not None:
            return self._recent.find(link)
        return links.read(link) if links is not None else None

    def pass_over(self, member: TarMember) -> None:
        """Leave out a member of an unknown type, which holds nothing; `log_passed_over` says so."""
        self._passed_over.append(member)

    def log_passed_over(self) -> None:
        """Log in one line which members were left out."""
        if self._passed_over:
            first, count = self._passed_over[0], len(self._passed_over)
            _log.info(
                "%s: passed over %s members of unknown types, the first is %r of type %s at byte"
                " %s: they have no data, or no name of a field",
                *(self.name, f"{count:,}", first.name, first.unknown_type, first.offset),
            )
            self._passed_over.clear()

    def fill(self) -> None:
        """Give the parser more bytes, or tell it that there are no more."""
        thread_counters().parse_s += perf_counter() - self.parsing_since
        count = self._stream.readinto(self.parser.get_buffer())
        self.parsing_since = perf_counter()
        if count:
            self.parser.buffer_updated(count)
        else:
            self.parser.finish()
