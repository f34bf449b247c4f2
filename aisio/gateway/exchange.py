"""What all requests have in common: reading messages and uploads, sending bodies and files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from io import FileIO
from typing import TypeVar

import msgspec
from aiohttp import StreamReader, web

from aisio.gateway.names import Target
from aisio.gateway.refusals import Refusal, unsupported
from aisio.version import __version__

BATCH_BYTES = 1 << 20
"""How much of an upload is gathered before a thread writes it; each change of thread costs time."""

_TLS_CHUNK_BYTES = 256 << 10
_IDLE_S = 5.0
_SERVER = ("Server", f"aisio/{__version__}")


Message = TypeVar("Message", bound=msgspec.Struct)


class ActionMessage(msgspec.Struct):
    """The JSON body of a control call."""

    action: str = ""
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


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
        host = self.request.headers.get("Host")
        if not host:
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
            Refusal: It is larger than any control call.
        """
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, "the message is larger than 1 MiB") from None

    async def read_action(self) -> ActionMessage:
        """Return the action message in the body.

        Raises:
            Refusal: There is none.
        """
        return decode_message(await self.read_body(), ActionMessage)

    async def uploaded(self) -> AsyncIterator[list[bytes]]:
        """Yield the body in lists of pieces, each list of about BATCH_BYTES.

        Raises:
            ConnectionError: The client went away before the end.
        """
        content, pieces, size = self.request.content, list[bytes](), 0
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0
        while piece := await content.readany():
            pieces.append(piece)
            size += len(piece)
            if size >= BATCH_BYTES:
                yield pieces
                pieces, size = [], 0
        if pieces:
            yield pieces


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
        Refusal: It is not JSON, or not of that shape.
    """
    if not body:
        raise Refusal(400, f"failed to unmarshal {kind.__name__}, err: EOF")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"failed to unmarshal {kind.__name__}, err: {error}") from None


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
        sent = await asyncio.get_running_loop().sendfile(transport, file, start, stop - start)
    if sent < stop - start:
        transport.abort()
        raise ConnectionAbortedError("the file was cut while it was sent")
    await response.write_eof()
    return response


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
            await asyncio.wait_for(content.readany(), _IDLE_S)
