"""As much of HTTP/1.1 as a proxy needs that passes heads and bodies on: reading them, one by one.

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

_HOPS = frozenset({"connection", "keep-alive", "proxy-connection"})


@dataclass(frozen=True)
class Head:
    """The head of a request or reply; text is Latin-1, so that every byte comes through.

    Attributes:
        start_line: Request line or status line.
        headers: Names and values, in order.
    """

    start_line: str
    headers: tuple[tuple[str, str], ...]

    @property
    def status(self) -> int:
        """Of a reply."""
        return int(self.start_line.split(" ", 2)[1])

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    @property
    def keeps_alive(self) -> bool:
        """Whether who sent a request wants to use the connection again."""
        wish = (self.get("Connection") or "").lower()
        return "close" not in wish and self.start_line.endswith("HTTP/1.1")

    def get(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def joined(self) -> dict[str, str]:
        """Return the headers by lowercase name, the values of a repeated one joined."""
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(several) for name, several in values.items()}

    def body_bytes(self, *, of_request: bool) -> int | None:
        """Return the body's length: CHUNKED if it says so itself, None if it lasts to the end."""
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

    def without_hops(self) -> Head:
        """Return the head without what concerns one connection only."""
        return self.without(*_HOPS)

    def replaced(self, name: str, value: str) -> Head:
        """Return the head with one header set."""
        kept = self.without(name)
        return replace(kept, headers=(*kept.headers, (name, value)))

    def encode(self, start_line: str) -> bytes:
        """Return its bytes, under a start line."""
        lines = [start_line, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read a head.

    Raises:
        EOFError: The connection ended before it did.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start_line, *lines = text[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(start_line, tuple((name, value.strip(" \t")) for name, _, value in pairs))


async def pieces(reader: asyncio.StreamReader, size_bytes: int | None) -> AsyncIterator[bytes]:
    """Read a body in pieces, as they come; chunks come without their frames.

    Raises:
        EOFError: The connection ended before the body did.
    """
    if size_bytes is None:
        while piece := await reader.read(PIECE_BYTES):
            yield piece
        return
    if size_bytes != CHUNKED:
        async for piece in _exactly(reader, size_bytes):
            yield piece
        return
    while size := int((await _line(reader)).partition(b";")[0], 16):
        async for piece in _exactly(reader, size):
            yield piece
        await _line(reader)
    while (await _line(reader)).strip():
        pass  # trailers


async def _exactly(reader: asyncio.StreamReader, size_bytes: int) -> AsyncIterator[bytes]:
    left = size_bytes
    while left:
        piece = await reader.read(min(left, PIECE_BYTES))
        if not piece:
            raise EOFError(f"{left} of {size_bytes} bytes are missing")
        left -= len(piece)
        yield piece


async def _line(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\n")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST, as the kernel does for a process that died."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def framed(piece: bytes, *, chunked: bool) -> bytes:
    """Return a piece of a body as it goes on the wire."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
