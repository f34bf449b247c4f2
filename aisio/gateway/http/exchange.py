"""What all requests have in common: reading messages and uploads, sending bodies and files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from io import FileIO
from typing import TypeVar, cast
from urllib.parse import quote

import msgspec
from aiohttp import StreamReader, web

from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal, unsupported
from aisio.gateway.protocol.targets import Target
from aisio.gateway.storage.pieces import gathered
from aisio.gateway.storage.uploads import Upload
from aisio.version import __version__

BATCH_BYTES = 1 << 20
"""How much of an upload is gathered before a thread writes it; each change of thread costs time."""

INLINE_BYTES = 64 << 10
"""Up to this size an object is read and sent with its headers in one write, which beats sendfile's
two system calls and four event-loop rounds; above it the kernel moves the bytes."""

MOST_MESSAGE_BYTES = 32 << 20
"""The largest control call: a list of some 300,000 names."""

STALL_S = 600.0
"""How long an upload may stand still."""

OCTETS = "application/octet-stream"
_TLS_CHUNK_BYTES = 256 << 10
_AT_ONCE_BYTES = 1 << 20
_MESSAGE_S = 120.0
_DISCARD_S = 5.0
_DISCARD_BYTES = 256 << 10
"""A body that nobody wants is read on while so much of it comes in that time."""

_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))
_SERVER = ("Server", f"aisio/{__version__}")


Message = TypeVar("Message", bound=msgspec.Struct)


class ActionMessage(msgspec.Struct):
    """The JSON body of a control call."""

    action: str = ""
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def has_value(self) -> bool:
        """Whether there is a value, and not null."""
        return bytes(self.value) != b"null"


class Exchange:
    """One request and what it is about.

    Args:
        request: As aiohttp has read it.
        target: What its URL means.
    """

    def __init__(self, request: web.BaseRequest, target: Target) -> None:
        self.request = request
        self.target = target

    @property
    def origin(self) -> str:
        """The gateway's address as this client knows it: right through forwarded ports, too."""
        host = self.request.headers.get("Host", "")
        if not host or not host.isascii():
            transport = self.request.transport
            address = transport.get_extra_info("sockname") if transport else ("127.0.0.1", 0)
            host = f"{address[0]}:{address[1]}"
        return f"{self.request.scheme}://{host}"

    def refuse_parameters(self, *names: str) -> None:
        """Refuse query parameters that ask for more than a plain read or write.

        Empty ones ask for nothing.

        Raises:
            Refusal: One of them has a value.
        """
        for name in names:
            if self.target.query.get(name):
                raise unsupported(f"{self.request.method} with {name}={self.target.query[name]}")

    async def read_body(self) -> bytes:
        """Return the body of a control call.

        Raises:
            Refusal: It is larger than any control call, or does not come.
        """
        try:
            return await asyncio.wait_for(self._whole_body(), _MESSAGE_S)
        except asyncio.TimeoutError:
            told = f"the message has not come within {_MESSAGE_S:g} s"
            raise Refusal(408, told) from None

    async def _whole_body(self) -> bytes:
        body = bytearray()
        while piece := await self.request.content.readany():
            body += piece
            if len(body) > MOST_MESSAGE_BYTES:
                raise Refusal(413, "the message is larger than 32 MiB")
        return bytes(body)

    async def read_action(self) -> ActionMessage:
        """Return the action message in the body.

        Raises:
            Refusal: There is none.
        """
        return decode_message(await self.read_body(), ActionMessage)

    @property
    def is_handed_over(self) -> bool:
        """Whether the request has come by way of `hand_over`, or says so."""
        return self.target.query.keys() >= {"pid", "utm"}

    async def hand_over(self, proxy_id: str, path: str = "") -> web.Response:
        """Send the client on to the address where a cluster's target would be.

        Args:
            proxy_id: Who sends it on.
            path: The address's path; "" for the same as now.
        """
        # A query may hold any bytes, as surrogates; a header may not.
        raw_path = quote(self.request.raw_path, safe=_AS_IT_IS, errors="surrogateescape")
        own_path, mark, query = raw_path.partition("?")
        query = f"{query}&" if mark else ""
        stamp = f"pid={proxy_id}&utm={time.time_ns()}"
        address = f"{self.origin}{path or own_path}?{query}{stamp}"
        return await answer_early(self.request, reply(status=307, headers=[("Location", address)]))

    async def receive(self, upload: Upload) -> list[bytes]:
        """Write the body to an upload, but for its last pieces.

        Returns:
            These: whoever finishes the upload is in a thread anyway, and writes them there.

        Raises:
            ConnectionError: The client went away before the end.
        """
        last = list[bytes]()
        async for pieces in self._uploaded():
            if last:
                await asyncio.to_thread(upload.write, last)
            last = pieces
        return last

    async def _uploaded(self) -> AsyncIterator[list[bytes]]:
        """Yield the body in lists of pieces, each list of about BATCH_BYTES.

        Raises:
            ConnectionError: The client went away before the end.
        """
        content, pieces, size = self.request.content, list[bytes](), 0
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0
        while piece := await next_piece(content):
            pieces.append(piece)
            size += len(piece)
            if size >= BATCH_BYTES:
                yield pieces
                pieces, size = [], 0
        if pieces:
            yield pieces


async def next_piece(content: StreamReader, stall_s: float = STALL_S) -> bytes:
    """Return what has come of a body since the last time; b"" at its end.

    Raises:
        Refusal: Nothing has come for a long time.
    """
    if piece := content.read_nowait():  # to wait with a limit costs a task
        return piece
    try:
        return await asyncio.wait_for(content.readany(), stall_s)
    except asyncio.TimeoutError:
        raise Refusal(408, f"nothing of the request's body has come for {stall_s:g} s") from None


async def answer_early(request: web.BaseRequest, response: web.Response) -> web.Response:
    """Send a reply before the body has come, then let the body come and drop it.

    Some clients send the whole body before they read the reply. To close the connection under them
    would reset it, and the reply could be lost; to leave the bytes in it would spoil the next
    request. A client that waits for "100 Continue" sends nothing, and its connection ends here.
    """
    waits = bool(request.headers.get("Expect"))
    if waits:
        response.force_close()
    await response.prepare(request)
    await response.write_eof()
    if not waits:
        await _discard(request.content)
    return response


def decode_message(body: bytes | msgspec.Raw, kind: type[Message]) -> Message:
    """Read a JSON message.

    Raises:
        Refusal: It is not JSON, not of that shape, or nested too deep.
    """
    if not body:
        raise Refusal(400, f"failed to unmarshal {kind.__name__}, err: EOF")
    message: Message = decode_json(body, kind, what=kind.__name__)
    return message


def reply(
    body: bytes = b"", *, status: int = 200, headers: Iterable[tuple[str, str]] = (), kind: str = ""
) -> web.Response:
    """Return a whole reply.

    Args:
        body: Its bytes.
        status: HTTP status code.
        headers: Header fields; names may repeat.
        kind: Content-Type; "" for none.
    """
    fields = [_SERVER, *headers]
    if kind:
        fields.append(("Content-Type", kind))
    response = web.Response(status=status, headers=fields)
    response.body = body
    return response


async def send_file(
    request: web.BaseRequest, file: FileIO, start: int, stop: int, response: web.StreamResponse
) -> web.StreamResponse:
    """Send bytes [start, stop) of a file, by sendfile where the connection is not encrypted.

    A file that another program cuts meanwhile ends the connection: the client sees a short body.
    """
    response.content_length = stop - start
    await response.prepare(request)
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    if request.scheme == "https":
        sent = await _send_chunks(file, start, stop, response)
    else:
        sent = _send_at_once(transport, file, start, min(stop - start, _AT_ONCE_BYTES))
        if sent < stop - start:
            sent += await _send_rest(request, file, start + sent, stop - start - sent)
    if sent < stop - start:
        raise cut_off(request, "the file was cut while it was sent")
    await response.write_eof()
    return response


class BodyCutError(ConnectionAbortedError):
    """The connection was ended inside a body that cannot be sent whole."""


def cut_off(request: web.BaseRequest, why: str) -> BodyCutError:
    """End a connection, so that the client sees that the body is cut; return the error to raise."""
    if request.transport is not None:
        request.transport.abort()
    return BodyCutError(why)


async def send_pieces(
    request: web.BaseRequest, pieces: Iterator[bytes], response: web.StreamResponse
) -> web.StreamResponse:
    """Send a body that is made in a thread, piece by piece, as fast as the client takes it.

    The first piece is made before the head is sent: what is wrong with it is answered as an error.
    What goes wrong later ends the connection: the client sees that the body is cut.
    """
    batches = gathered(pieces)
    left = response.content_length
    try:
        piece = await asyncio.to_thread(next, batches, b"")
        await response.prepare(request)
        while piece:
            await response.write(piece)
            left = None if left is None else left - len(piece)
            piece = await asyncio.to_thread(next, batches, b"")
        if left:
            raise EOFError(f"{left:,} bytes are missing at its end")
    except ConnectionError:
        raise
    except Exception as error:
        if not response.prepared:
            raise
        raise cut_off(request, f"{error}") from error
    finally:
        # Cancelled while a thread is in there, it is closed when that has ended, by its last owner.
        with contextlib.suppress(ValueError):
            batches.close()
    await response.write_eof()
    return response


def _send_at_once(transport: asyncio.Transport, file: FileIO, start: int, count: int) -> int:
    """Send what the connection takes now, and return how much that is.

    The event loop's own way takes four rounds of it, which cost more than the sending.
    """
    if transport.get_write_buffer_size():
        return 0
    try:
        return os.sendfile(transport.get_extra_info("socket").fileno(), file.fileno(), start, count)
    except ConnectionError:
        raise
    except OSError:  # it is full, or the file's system has no sendfile: the event loop has a way
        return 0


async def _send_rest(request: web.BaseRequest, file: FileIO, start: int, count: int) -> int:
    try:
        loop, transport = asyncio.get_running_loop(), cast("asyncio.Transport", request.transport)
        return await loop.sendfile(transport, file, start, count)
    except TimeoutError as error:  # of the connection, see connections.STALL_S
        raise cut_off(request, "the client took nothing of it for too long") from error


async def _send_chunks(file: FileIO, start: int, stop: int, response: web.StreamResponse) -> int:
    file.seek(start)
    left = stop - start
    while left and (chunk := file.read(min(left, _TLS_CHUNK_BYTES))):
        await response.write(chunk)
        left -= len(chunk)
    return stop - start - left


async def _discard(content: StreamReader) -> None:
    with contextlib.suppress(asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):
        while not content.at_eof():
            await asyncio.wait_for(_discard_some(content), _DISCARD_S)


async def _discard_some(content: StreamReader) -> None:
    left = _DISCARD_BYTES
    while left > 0 and not content.at_eof():
        left -= len(await content.readany())
