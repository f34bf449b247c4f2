"""Reading the bodies of requests: messages, uploads, and bodies that nobody needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import StreamReader, web

from aisio.gateway.protocol.refusals import Refusal

WRITE_BYTES = 1 << 20
"""How many bytes of an upload one call of a thread writes: each switch to a thread costs time."""

MAX_MESSAGE_BYTES = 32 << 20
"""The largest message of a control call: a list of some 300,000 names."""

STALL_S = 600.0
"""How long an upload may make no progress, in seconds."""

_MESSAGE_S = 120.0
_DISCARD_S = 5.0
_DISCARD_BYTES = 256 << 10
"""An unneeded body is read on as long as each period of _DISCARD_S brings this much of it."""


class Sink(Protocol):
    """Where the bytes of an upload go."""

    def write(self, pieces: list[bytes]) -> None:
        """Take the next bytes; called in a thread."""


async def read_message(content: StreamReader, max_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """Return the whole body of a control call.

    Args:
        content: The body.
        max_bytes: The most that is read.

    Raises:
        Refusal: It is larger than that, or takes too long.
    """
    try:
        return await asyncio.wait_for(_read_message(content, max_bytes), _MESSAGE_S)
    except asyncio.TimeoutError:
        raise Refusal(408, f"the message did not arrive within {_MESSAGE_S:g} s") from None


async def receive_upload(request: web.BaseRequest, upload: Sink) -> list[bytes]:
    """Write the body to an upload, except for its last pieces.

    Returns:
        The last pieces. The caller writes them in the thread that finishes the upload, which saves
        one switch to a thread.

    Raises:
        ConnectionError: The client closed the connection before the end of the body.
        Refusal: No byte of the body has arrived for STALL_S.
    """
    last = list[bytes]()
    async for pieces in _upload_batches(request):
        if last:
            await asyncio.to_thread(upload.write, last)
        last = pieces
    return last


async def next_piece(content: StreamReader, stall_s: float = STALL_S) -> bytes:
    """Return what has arrived of a body since the last call; b"" at its end.

    Raises:
        Refusal: Nothing has arrived for `stall_s` seconds.
    """
    if piece := content.read_nowait():  # wait_for() would create a task
        return piece
    try:
        return await asyncio.wait_for(content.readany(), stall_s)
    except asyncio.TimeoutError:
        raise Refusal(408, f"no byte of the request's body has arrived for {stall_s:g} s") from None


async def discard(content: StreamReader) -> None:
    """Read the rest of a body and drop it, unless it arrives very slowly."""
    with contextlib.suppress(asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):
        while not content.at_eof():
            await asyncio.wait_for(_discard_some(content), _DISCARD_S)


async def _read_message(content: StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    while piece := await content.readany():
        body += piece
        if len(body) > max_bytes:
            raise Refusal(413, f"the message is larger than {max_bytes >> 20} MiB")
    return bytes(body)


async def _upload_batches(request: web.BaseRequest) -> AsyncIterator[list[bytes]]:
    """Yield the body in lists of pieces, each list of about WRITE_BYTES."""
    content, pieces, size = request.content, list[bytes](), 0
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    while piece := await next_piece(content):
        pieces.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield pieces
            pieces, size = [], 0
    if pieces:
        yield pieces


async def _discard_some(content: StreamReader) -> None:
    remaining = _DISCARD_BYTES
    while remaining > 0 and not content.at_eof():
        remaining -= len(await content.readany())
