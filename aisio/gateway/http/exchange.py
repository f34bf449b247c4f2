"""Exchange: one request with its parsed target, and what all requests have in common."""

from __future__ import annotations

import time
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from aisio.gateway.http.request_body import read_message, receive_upload
from aisio.gateway.http.responses import make_response, respond_early
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal, unsupported
from aisio.gateway.protocol.signatures import RedirectSigner
from aisio.gateway.protocol.targets import Target, decode
from aisio.gateway.storage.uploads import Upload

_PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))

Message = TypeVar("Message", bound=msgspec.Struct)


class ActionMessage(msgspec.Struct):
    """The JSON body of a control call."""

    action: str = ""
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def has_value(self) -> bool:
        """Whether there is a value that is not null."""
        return bytes(self.value) != b"null"


class Exchange:
    """One request and its parsed target.

    Args:
        request: The request as aiohttp has read it.
        target: What its URL names.

    Attributes:
        request: As above.
        target: As above.
        signer: Signs what is redirected; None if redirects are not signed.
        target_origin: Scheme, host and port of the target; "" for the gateway's own.
    """

    def __init__(self, request: web.BaseRequest, target: Target) -> None:
        self.request = request
        self.target = target
        self.signer: RedirectSigner | None = None
        self.target_origin = ""

    @property
    def origin(self) -> str:
        """The gateway's address as this client knows it, which may be a forwarded port."""
        host = self.request.headers.get("Host", "")
        if not host or not host.isascii():
            transport = self.request.transport
            address = transport.get_extra_info("sockname") if transport else ("127.0.0.1", 0)
            host = f"{address[0]}:{address[1]}"
        return f"{self.request.scheme}://{host}"

    def refuse_parameters(self, *names: str) -> None:
        """Refuse query parameters that the gateway does not support; empty ones are allowed.

        Raises:
            Refusal: One of them has a value.
        """
        for name in names:
            if self.target.query.get(name):
                raise unsupported(f"{self.request.method} with {name}={self.target.query[name]}")

    async def read_body(self) -> bytes:
        """Return the body of a control call.

        Raises:
            Refusal: It is larger than any control call, or takes too long.
        """
        return await read_message(self.request.content)

    async def read_action(self) -> ActionMessage:
        """Return the action message in the body.

        Raises:
            Refusal: The body is not an action message.
        """
        return decode_message(await self.read_body(), ActionMessage)

    async def receive(self, upload: Upload) -> list[bytes]:
        """Write the body to an upload, except for its last pieces, which are returned.

        Raises:
            ConnectionError: The client closed the connection before the end of the body.
        """
        return await receive_upload(self.request, upload)

    @property
    def is_redirected(self) -> bool:
        """Whether the client comes from `redirect_to_target`.

        Where redirects are not signed, it may have set the parameters itself.
        """
        return self.signer is None and self.target.query.keys() >= {"pid", "utm"}

    @property
    def signed_parts(self) -> tuple[str, int]:
        """The path and the body length of this request, as a signature covers them."""
        return decode(self.request.raw_path.partition("?")[0]), self.request.content_length or 0

    async def redirect_to_target(self, proxy_id: str, path: str = "") -> web.Response:
        """Redirect the client to the address where a cluster's target would be.

        Args:
            proxy_id: The id of the redirecting proxy.
            path: The path of that address; "" for the path of this request.
        """
        # A query may hold any bytes, as surrogates; a header may not.
        raw_path = quote(self.request.raw_path, safe=_PRINTABLE_ASCII, errors="surrogateescape")
        own_path, mark, query = raw_path.partition("?")
        query = f"{query}&" if mark else ""
        stamp = f"pid={proxy_id}&utm={time.time_ns()}"
        if self.signer is not None:
            own, length = self.signed_parts
            signature = self.signer.sign(self.request.method, path or own, length)
            stamp = f"{stamp}&{urlencode(signature)}"
        location = f"{self.target_origin or self.origin}{path or own_path}?{query}{stamp}"
        # AIStore's proxy answers so to the GET of an object.
        is_get = self.request.method == "GET" and self.target.parts[0] == "objects"
        status = 301 if is_get else 307
        response = make_response(status=status, headers=[("Location", location)])
        return await respond_early(self.request, response)


def decode_message(body: bytes | msgspec.Raw, kind: type[Message]) -> Message:
    """Decode a JSON message.

    Raises:
        Refusal: It is not JSON, does not have the fields of `kind`, or is nested too deeply.
    """
    if not body:
        raise Refusal(400, f"failed to unmarshal {kind.__name__}, err: EOF")
    message: Message = decode_json(body, kind, what=kind.__name__)
    return message
