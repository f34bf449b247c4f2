"""A tar parser without I/O: the bytes of an archive go in, its members come out.

Theory of operation. A tar archive is a row of 512-byte blocks: for each member a header and its
payload, padded with zeros to whole blocks; at the end two blocks of zeros. A header may be preceded
by extension headers (`tar_extensions`), whose payloads hold what does not fit it.

TarParser holds one buffer and never touches a file or socket. Its caller asks for events:

    next_event() ── TarMember ──> read_payload() -> the payload's bytes, or NEED_DATA
         │   │                    skip_payload(): skip it without copying
         │   │                    or just next_event(): the payload in pieces, as they arrive
         │   │                    read_sparse(): the content of a sparse file, or NEED_DATA
         │   └── END              only after finish(), with all bytes accounted for
         └────── NEED_DATA ─────> readinto(get_buffer()), then buffer_updated(count);
                                  at the end of the input finish(); then call again

Between two calls the unread bytes are buffer[start:end]. If the caller goes on until NEED_DATA,
less than one block is unread, so that moving it to the front costs nothing and the buffer never
grows. A payload of any size is copied once, from the reused buffer into its own bytes object.

The parser is strict: an archive without its end-of-archive block is cut, wherever it stops. Bytes
other than zero behind that block are an error, as are wrong checksums and invalid sizes. A member
whose data is in another form (sparse, multi-volume, of an unknown type) is an error too, unless the
caller allows such members: then their data is skipped, and that of a sparse file can be read.
Whatever the input, the only exception is a ShardError; once raised, every next_event() raises it
again.

Source:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".
"""

from __future__ import annotations

from enum import Enum
from io import BytesIO
from typing import Final, Literal, NoReturn, TypeAlias

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar_extensions import EXTENSION_TYPES, ExtensionHeaders
from aisio.formats.tar_faults import data_behind_the_end, less_than_a_header, not_a_tar
from aisio.formats.tar_header import (
    BLOCK_BYTES,
    MalformedHeaderError,
    MemberKind,
    TarMember,
    checksum_matches,
    has_sparse_map,
    read_member,
    skipped_bytes,
)
from aisio.formats.tar_sparse import SparseFile, check_sparse_sizes

__all__ = [
    "BLOCK_BYTES",
    "END",
    "NEED_DATA",
    "Event",
    "MemberKind",
    "Signal",
    "TarMember",
    "TarParser",
]


class Signal(Enum):
    """What next_event() returns when it has neither a member nor a payload."""

    NEED_DATA = "need data"
    END = "end"


NEED_DATA: Final = Signal.NEED_DATA
END: Final = Signal.END
Event: TypeAlias = "TarMember | bytes | Signal"


class TarParser:
    """Turns the bytes of an archive into members and payloads; see the module's docstring.

    One class has all this state, in more attributes than is usual: an object for each part of it
    would cost calls for each member.

    Args:
        url: The archive's URL, for errors.
        buffer_bytes: Size of the reused buffer, at least 1024.
        allow_unreadable: Return members that are `unreadable`, without a payload; otherwise they
            are an error.

    Attributes:
        end_offset: Byte of the end-of-archive block; None before the parser has come to it.
    """

    def __init__(
        self, url: str = "", *, buffer_bytes: int = 256 * 1024, allow_unreadable: bool = False
    ) -> None:
        if buffer_bytes < 2 * BLOCK_BYTES:
            raise ConfigError(f"buffer_bytes={buffer_bytes}: a tar parser needs at least 1024")
        self.url = url
        self._buffer = bytearray(buffer_bytes)
        self._view = memoryview(self._buffer)
        self._base = 0  # byte of the archive that stands at buffer[0]
        self._start = 0
        self._end = 0
        self._payload_left = 0
        self._skip_left = 0  # bytes to skip after _payload_left: skipped payload and padding
        self._collected: BytesIO | None = None
        self._extensions = ExtensionHeaders()
        self._member: TarMember | None = None
        self._allow_unreadable = allow_unreadable
        self._in_sparse_map = False  # the next block belongs to the map of a sparse file
        self._sparse: SparseFile | None = None  # the last member, if it is a sparse file
        self.end_offset: int | None = None
        self._finished = False
        self._failure: ShardError | None = None

    def get_buffer(self) -> memoryview:
        """Return the space for the next bytes of the archive.

        Returns:
            A writable view, valid until the next call of any method.

        Raises:
            BufferError: The buffer is full: the caller did not call next_event() until NEED_DATA.
        """
        self._compact()
        if self._end == len(self._buffer):
            raise BufferError("the buffer is full: call next_event() until it returns NEED_DATA")
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Take in the bytes that the caller has written into get_buffer()'s view."""
        if not 0 <= count <= len(self._buffer) - self._end:
            raise ValueError(f"count={count}: get_buffer() returned a smaller view")
        self._end += count

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Copy bytes of the archive into the buffer, which grows if they do not fit."""
        self._compact()
        stop = self._end + len(data)
        if stop > len(self._buffer):
            self._buffer = self._buffer[: self._end] + bytes(stop - self._end)
            self._view = memoryview(self._buffer)
        self._view[self._end : stop] = data
        self._end = stop

    def finish(self) -> None:
        """Mark the end of the input; if a later call needs more data, the archive is cut."""
        self._finished = True

    def next_event(self) -> Event:
        """Return the next event.

        Returns:
            A TarMember, a non-empty piece of the last member's payload, NEED_DATA or END.

        Raises:
            ShardError: The archive is cut, damaged, not a tar, or of an unsupported form.
        """
        if self._failure is not None:
            raise self._failure
        if self._payload_left and not self._extensions.typeflag:
            return self._next_piece()
        try:
            return self._next_member()
        except MalformedHeaderError as error:
            self._fail(f"damaged at byte {self._offset}{self._after()}: {error}", self._offset)

    def read_payload(self) -> bytes | Literal[Signal.NEED_DATA]:
        """Return the last member's payload, or the rest of it, once the buffer holds it.

        Returns:
            The payload, b"" if there is none, or NEED_DATA: add data and call again.

        Raises:
            ShardError: The archive ends before the payload does.
        """
        start = self._start
        stop = start + self._payload_left
        if stop > self._end or self._collected is not None:
            return self._collect()
        self._start = stop
        self._payload_left = 0
        return self._view[start:stop].tobytes()

    def read_sparse(self) -> bytes | Literal[Signal.NEED_DATA]:
        """Return the content of the last member, a sparse file, once its stored bytes have come.

        Returns:
            The content, its holes as zeros, or NEED_DATA: add data and call again.

        Raises:
            ShardError: The archive ends before them, they do not fit the map of the file, or the
                content is over 1 GiB.
        """
        sparse = self._sparse
        assert sparse is not None, "the last member is not a sparse file"
        if self._in_sparse_map and not self._take_sparse_map(sparse.map_blocks):
            return self._need_data()
        try:
            if not sparse.has_started:
                check_sparse_sizes(sparse.size_bytes, sparse.stored_bytes)
                sparse.has_started = True
                self._payload_left = sparse.stored_bytes
                self._skip_left -= sparse.stored_bytes
            stored = self.read_payload()
            return stored if stored is NEED_DATA else sparse.content(stored)
        except MalformedHeaderError as error:
            assert self._member is not None
            offset = self._member.offset
            self._fail(f"member {self._member.name!r} at byte {offset}: {error}", offset)

    @property
    def sparse_bytes(self) -> int | None:
        """Size of the content of the last member, a sparse file; None if that is not valid."""
        assert self._sparse is not None, "the last member is not a sparse file"
        try:
            size_bytes = self._sparse.size_bytes
        except MalformedHeaderError:
            return None
        return size_bytes if size_bytes >= 0 else None

    def skip_payload(self) -> None:
        """Skip the rest of the last member's payload without copying it."""
        self._skip_left += self._payload_left
        self._payload_left = 0
        self._collected = None

    @property
    def settled_offset(self) -> int:
        """Byte where the next member, its extension headers included, begins at the earliest."""
        if self.end_offset is not None:
            return self.end_offset
        return self._offset if self._extensions.offset is None else self._extensions.offset

    @property
    def has_global_records(self) -> bool:
        """Whether a global PAX header says something of all members behind it."""
        return bool(self._extensions.global_records)

    @property
    def _offset(self) -> int:
        return self._base + self._start

    def _compact(self) -> None:
        if self._start:
            unread = self._end - self._start
            self._view[:unread] = self._buffer[self._start : self._end]
            self._base += self._start
            self._start, self._end = 0, unread

    def _next_piece(self) -> Event:
        if self._collected is not None:  # read_payload() has collected a part of it
            return self._collect()
        count = min(self._payload_left, self._end - self._start)
        if not count:
            return self._need_data()
        piece = self._view[self._start : self._start + count].tobytes()
        self._start += count
        self._payload_left -= count
        return piece

    def _collect(self) -> bytes | Literal[Signal.NEED_DATA]:
        # BytesIO.getvalue() returns its buffer as bytes without a second copy.
        if self._collected is None:
            self._collected = BytesIO()
        count = min(self._payload_left, self._end - self._start)
        self._collected.write(self._view[self._start : self._start + count])
        self._start += count
        self._payload_left -= count
        if self._payload_left:
            return self._need_data()
        payload = self._collected.getvalue()
        self._collected = None
        return payload

    def _next_member(self) -> Event:
        while True:
            if self._extensions.typeflag:
                payload = self.read_payload()
                if payload is NEED_DATA:
                    return NEED_DATA
                self._extensions.end(payload)
            if self._in_sparse_map and not self._take_sparse_map():
                return self._need_data()
            if self._skip_left:
                count = min(self._skip_left, self._end - self._start)
                self._start += count
                self._skip_left -= count
            if self.end_offset is not None:
                return self._check_trailer(self.end_offset)
            if self._end - self._start < BLOCK_BYTES:
                return self._need_data()
            block = self._view[self._start : self._start + BLOCK_BYTES].tobytes()
            member = self._take_block(block, self._base + self._start)
            if member is not None:
                return member

    def _take_block(self, block: bytes, offset: int) -> TarMember | None:
        if not block[0] and not any(block):
            self._end_archive(offset)
            return None
        if not checksum_matches(block):
            self._fail_checksum(block)
        extensions = self._extensions
        if block[156] in EXTENSION_TYPES:
            self._payload_left = extensions.begin(block, offset)
            self._skip_left = -self._payload_left % BLOCK_BYTES
            self._start += BLOCK_BYTES
            return None
        records = extensions.records
        if extensions.global_records:
            records = {**extensions.global_records, **records}
        start = offset if extensions.offset is None else extensions.offset
        member = read_member(block, records, offset=start, header_offset=offset)
        self._start += BLOCK_BYTES
        self._payload_left = member.size_bytes
        self._skip_left = -member.size_bytes % BLOCK_BYTES
        if member.kind != "file":
            self._skip_data(member, block, records)
        self._member = member
        if extensions.offset is not None:
            extensions.clear_member()
        return member

    def _skip_data(self, member: TarMember, block: bytes, records: dict[bytes, bytes]) -> None:
        if member.unreadable and not self._allow_unreadable:
            self._fail(member.describe_unreadable(), member.offset)
        size_bytes = skipped_bytes(member, block, records)
        self._skip_left = size_bytes + -size_bytes % BLOCK_BYTES
        self._in_sparse_map = has_sparse_map(block)
        self._sparse = SparseFile(block, records, size_bytes) if member.kind == "sparse" else None

    def _take_sparse_map(self, blocks: bytearray | None = None) -> bool:
        """Take the blocks of a sparse file's map that have come; tell whether these are all.

        Args:
            blocks: Where to append them; without it they are skipped.

        Source:
            GNU tar 1.34 manual, "Old GNU Format": byte 504 tells whether another one follows.
        """
        while self._in_sparse_map and self._end - self._start >= BLOCK_BYTES:
            self._in_sparse_map = self._buffer[self._start + 504] != 0
            if blocks is not None:
                blocks += self._view[self._start : self._start + BLOCK_BYTES]
            self._start += BLOCK_BYTES
        return not self._in_sparse_map

    def _end_archive(self, offset: int) -> None:
        if self._extensions.offset is not None:
            raise MalformedHeaderError(
                "the archive ends between an extension header and its member"
            )
        self.end_offset = offset
        self._start += BLOCK_BYTES

    def _check_trailer(self, end_offset: int) -> Event:
        if self._buffer.count(0, self._start, self._end) != self._end - self._start:
            unread = self._buffer[self._start : self._end]
            offset = self._base + self._end - len(unread.lstrip(b"\0"))
            self._fail(data_behind_the_end(offset, end_offset), offset)
        self._start = self._end
        return END if self._finished else NEED_DATA

    def _need_data(self) -> Literal[Signal.NEED_DATA]:
        if self._finished:
            self._fail_cut()
        return NEED_DATA

    def _after(self) -> str:
        return f" (after member {self._member.name!r})" if self._member else ""

    def _fail(self, what: str, offset: int) -> NoReturn:
        text = f"{one_line(self.url) or 'tar archive'}: {what}"
        self._failure = ShardError(text, url=self.url or None, offset=offset)
        raise self._failure from None

    def _fail_checksum(self, block: bytes) -> NoReturn:
        if self._offset:
            raise MalformedHeaderError("a tar header is due here, and its checksum does not fit")
        self._fail(not_a_tar(block), 0)

    def _fail_cut(self) -> NoReturn:
        total = self._base + self._end
        if total < BLOCK_BYTES:
            self._fail(*less_than_a_header(self._view[: self._end].tobytes()))
        where = f"inside the header at byte {self._offset}"
        if self._extensions.typeflag:
            where = "inside an extension header"
        elif self._payload_left or self._skip_left:
            where = f"inside member {self._member.name!r}" if self._member else "inside a member"
        elif self._start == self._end:
            where = f"the end-of-archive block is missing{self._after()}"
        self._fail(f"cut at byte {total}: {where}; write or copy the shard again", total)
