"""The part of HTTP/1.1 that a proxy needs: reading and writing heads and bodies.

Source:
    RFC 9112, sections 2, 6 and 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

PIECE_BYTES = 1 << 16
CHUNKED = -1

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection"})


@dataclass(frozen=True)
class Head:
    """The head of a request or response, decoded as Latin-1, which keeps every byte.

    Attributes:
        start_line: Request line or status line.
        headers: Names and values, in the order of the message.
    """

    start_line: str
    headers: tuple[tuple[str, str], ...]

    @property
    def status(self) -> int:
        """The status code of a response."""
        return int(self.start_line.split(" ", 2)[1])

    @property
    def is_chunked(self) -> bool:
        """Whether the body has the chunked transfer coding."""
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    @property
    def keeps_alive(self) -> bool:
        """Whether the client of this request wants to reuse the connection."""
        options = (self.get("Connection") or "").lower()
        return "close" not in options and self.start_line.endswith("HTTP/1.1")

    def get(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def combined_headers(self) -> dict[str, str]:
        """Return the values by lowercase name; those of a repeated header are joined by ", "."""
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(lines) for name, lines in values.items()}

    def body_length(self, *, of_request: bool) -> int | None:
        """Return the length of the body in bytes.

        CHUNKED stands for a chunked body, None for one that ends with its connection.
        """
        if self.is_chunked:
            return CHUNKED
        length = self.get("Content-Length")
        if length is None:
            return 0 if of_request else None
        return int(length)

    def without(self, *names: str) -> Head:
        """Return the head without some headers."""
        lowered = {name.lower() for name in names}
        return replace(self, headers=tuple(h for h in self.headers if h[0].lower() not in lowered))

    def without_hop_by_hop(self) -> Head:
        """Return the head without the headers that concern one connection only."""
        return self.without(*_HOP_BY_HOP)

    def with_header(self, name: str, value: str) -> Head:
        """Return the head with one header added or replaced."""
        kept = self.without(name)
        return replace(kept, headers=(*kept.headers, (name, value)))

    def encode(self, start_line: str) -> bytes:
        """Return the head as bytes, with another start line."""
        lines = [start_line, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read a head.

    Raises:
        EOFError: The connection ended inside the head.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start_line, *lines = text[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(start_line, tuple((name, value.strip(" \t")) for name, _, value in pairs))


async def iter_body(reader: asyncio.StreamReader, size_bytes: int | None) -> AsyncIterator[bytes]:
    """Yield a body in pieces as they arrive, without the framing of chunks.

    Raises:
        EOFError: The connection ended inside the body.
    """
    if size_bytes is None:
        while piece := await reader.read(PIECE_BYTES):
            yield piece
        return
    if size_bytes != CHUNKED:
        async for piece in _read_exactly(reader, size_bytes):
            yield piece
        return
    while size := int((await _read_line(reader)).partition(b";")[0], 16):
        async for piece in _read_exactly(reader, size):
            yield piece
        await _read_line(reader)
    while (await _read_line(reader)).strip():
        pass  # trailers are dropped


async def _read_exactly(reader: asyncio.StreamReader, size_bytes: int) -> AsyncIterator[bytes]:
    left_bytes = size_bytes
    while left_bytes:
        piece = await reader.read(min(left_bytes, PIECE_BYTES))
        if not piece:
            raise EOFError(f"{left_bytes} of {size_bytes} bytes are missing")
        left_bytes -= len(piece)
        yield piece


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\n")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST, as the kernel may do for a process that died."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def encode_piece(piece: bytes, *, chunked: bool) -> bytes:
    """Return a piece of a body as it is sent: as a chunk, or as it is."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
