"""Sending responses: whole ones, files, and bodies that a thread produces."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from typing import cast

from aiohttp import web

from aisio.gateway.http.request_body import discard
from aisio.gateway.storage.pieces import coalesce
from aisio.version import __version__

JSON = "application/json; charset=utf-8"
OCTET_STREAM = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

INLINE_BYTES = 64 << 10
"""A body up to this size is read and sent with its headers in one write, which is faster than
sendfile: that takes two system calls and four rounds of the event loop. Above it the kernel moves
the bytes."""

_SENDFILE_BYTES = 1 << 20
_TLS_CHUNK_BYTES = 256 << 10
_SERVER = ("Server", f"aisio/{__version__}")


class BodyCutError(ConnectionAbortedError):
    """The server closed the connection inside a body, because it cannot send the rest."""


def make_response(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    content_type: str = "",
) -> web.Response:
    """Return a response with its whole body.

    Args:
        body: Its bytes.
        status: HTTP status code.
        headers: Header fields; names may repeat.
        content_type: Content-Type; "" for none.
    """
    fields = [_SERVER, *headers]
    if content_type:
        fields.append(("Content-Type", content_type))
    response = web.Response(status=status, headers=fields)
    response.body = body
    return response


async def respond_early(request: web.BaseRequest, response: web.Response) -> web.Response:
    """Send a response before the request's body has arrived, then read the body and drop it.

    Some clients send the whole body before they read the response. If the server closed the
    connection meanwhile, the client would see a reset and could lose the response. If it left the
    bytes unread, they would be taken for the next request. A client that waits for "100 Continue"
    sends no body; its connection is closed after the response.
    """
    expects_continue = bool(request.headers.get("Expect"))
    if expects_continue:
        response.force_close()
    await response.prepare(request)
    await response.write_eof()
    if not expects_continue:
        await discard(request.content)
    return response


async def send_file(
    request: web.BaseRequest, file: FileIO, start: int, stop: int, response: web.StreamResponse
) -> web.StreamResponse:
    """Send bytes [start, stop) of a file, by sendfile if the connection is not encrypted.

    If another program truncates the file meanwhile, the server closes the connection, so that the
    client notices the missing bytes.
    """
    response.content_length = stop - start
    await response.prepare(request)
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has closed the connection")
    if request.scheme == "https":
        sent = await _send_chunks(file, start, stop, response)
    else:
        sent = send_without_waiting(transport, file, start, min(stop - start, _SENDFILE_BYTES))
        if sent < stop - start:
            sent += await _send_rest(request, file, start + sent, stop - start - sent)
    if sent < stop - start:
        raise _cut_body(request, "the file was cut while it was sent")
    await response.write_eof()
    return response


async def send_pieces(
    request: web.BaseRequest, pieces: Iterator[bytes], response: web.StreamResponse
) -> web.StreamResponse:
    """Send a body that a thread produces, piece by piece, as fast as the client accepts it.

    The first piece is produced before the head is sent, so that its errors get an error response.
    After a later error the server closes the connection, so that the client notices the cut body.
    """
    batches = coalesce(pieces)
    missing = response.content_length
    try:
        piece = await asyncio.to_thread(next, batches, b"")
        await response.prepare(request)
        while piece:
            await response.write(piece)
            missing = None if missing is None else missing - len(piece)
            piece = await asyncio.to_thread(next, batches, b"")
        if missing:
            raise EOFError(f"{missing:,} bytes are missing at its end")
    except ConnectionError:
        raise
    except Exception as error:
        if not response.prepared:
            raise
        raise _cut_body(request, f"{error}") from error
    finally:
        # If this task is cancelled while a thread runs the generator, close() raises ValueError.
        # The thread then holds the last reference, and Python closes the generator when it is done.
        with contextlib.suppress(ValueError):
            batches.close()
    await response.write_eof()
    return response


def send_without_waiting(transport: asyncio.Transport, file: FileIO, start: int, count: int) -> int:
    """Send what the connection accepts at once by one sendfile call; return how many bytes.

    loop.sendfile() takes four rounds of the event loop, which cost more than the call itself.
    """
    if transport.get_write_buffer_size():
        return 0
    try:
        return os.sendfile(transport.get_extra_info("socket").fileno(), file.fileno(), start, count)
    except ConnectionError:
        raise
    except OSError:  # the connection is full, or the file system has no sendfile
        return 0


async def _send_rest(request: web.BaseRequest, file: FileIO, start: int, count: int) -> int:
    try:
        loop, transport = asyncio.get_running_loop(), cast("asyncio.Transport", request.transport)
        return await loop.sendfile(transport, file, start, count)
    except TimeoutError as error:  # of the socket, see connections.STALL_S
        raise _cut_body(request, "the client accepted no byte of it for too long") from error


async def _send_chunks(file: FileIO, start: int, stop: int, response: web.StreamResponse) -> int:
    file.seek(start)
    remaining = stop - start
    while remaining and (chunk := file.read(min(remaining, _TLS_CHUNK_BYTES))):
        await response.write(chunk)
        remaining -= len(chunk)
    return stop - start - remaining


def _cut_body(request: web.BaseRequest, why: str) -> BodyCutError:
    """Close the connection, so that the client notices the cut body; return the error to raise."""
    if request.transport is not None:
        request.transport.abort()
    return BodyCutError(why)
