"""S3Request: a request below /s3, parsed."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from aiohttp import web

from aisio.gateway.http.request_body import Sink, read_message, receive_upload
from aisio.gateway.protocol.refusals import Refusal, bucket_not_found
from aisio.gateway.protocol.targets import BucketName, check_name, decode, is_bucket_name
from aisio.gateway.s3.documents import parse
from aisio.gateway.s3.payload import Buffer, Payload
from aisio.gateway.s3.signatures import ChunkSignatures

PATH = "/s3"
MAX_DOCUMENT_BYTES = 8 << 20
"""The largest body of a request that is not an upload. A deletion of 1,000 keys or a list of 10,000
parts, the most that S3 accepts, has 6 MiB at most."""

_SLASHES = re.compile("/{2,}")


def is_s3_path(raw_path: str) -> bool:
    """Tell whether a request target is below /s3."""
    return raw_path.startswith(PATH) and raw_path[len(PATH) : len(PATH) + 1] in ("", "/", "?")


def is_of_s3_client(request: web.BaseRequest) -> bool:
    """Tell whether a request outside of AIStore's own paths is signed as S3's are."""
    if request.raw_path.startswith("/v1/"):
        return False
    scheme = request.headers.get("Authorization", "").partition(" ")[0]
    return scheme in ("AWS", "AWS4-HMAC-SHA256") or "X-Amz-Signature=" in request.raw_path


@dataclass
class S3Request:
    """A request, and what its URL names.

    Attributes:
        request: The request as aiohttp has read it.
        headers: Its headers, by names in lower case; repeated ones joined by ",".
        bucket_text: The bucket in its path, decoded; "" for none.
        key_text: The object key in its path, decoded, with repeated slashes as one; "" for none.
        query: Query parameters; the first of repeated ones.
        signatures: Verifies the chunks of its body; None ignores their signatures.
    """

    request: web.BaseRequest
    headers: Mapping[str, str]
    bucket_text: str
    key_text: str
    query: Mapping[str, str]
    signatures: ChunkSignatures | None = None

    @classmethod
    def parse(cls, request: web.BaseRequest) -> S3Request:
        """Parse a request.

        Raises:
            Refusal: The path has broken percent-encoding, or is not UTF-8.
        """
        raw_path, _, raw_query = request.raw_path.partition("?")
        bucket, _, key = decode(raw_path).removeprefix(PATH).lstrip("/").partition("/")
        pairs = parse_qsl(raw_query, keep_blank_values=True)
        headers = dict[str, str]()
        for name, value in request.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return cls(
            request,
            headers,
            bucket,
            normal_key(key),
            dict(reversed(pairs)),
        )

    @cached_property
    def bucket(self) -> BucketName:
        """The bucket.

        Raises:
            Refusal: No bucket can have that name.
        """
        return existing_name(self.bucket_text)

    @cached_property
    def key(self) -> str:
        """The object key.

        Raises:
            Refusal: There is none, or no object of this gateway can have it.
        """
        if not self.key_text:
            raise Refusal(400, "missing or empty object name", tcode="InvalidRequest")
        return check_name(self.key_text)

    def number(self, name: str, default: int, *, maximum: int) -> int:
        """Return a number of the query, at most `maximum`.

        Raises:
            Refusal: It is not a number.
        """
        text = self.query.get(name, "")
        if not text:
            return default
        if not re.fullmatch("[0-9]{1,10}", text):
            raise Refusal(400, f"{name}={text!r} is not a number", tcode="InvalidArgument")
        return min(int(text), maximum)

    async def read_body(self, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a request that is not an upload, checked.

        Args:
            headers: What it is checked against; None for the headers of the request.

        Raises:
            Refusal: It is too large or slow, or does not have the checksums of its headers.
        """
        buffer = Buffer()
        payload = Payload(buffer, headers or self.headers, self.signatures)
        body = await read_message(self.request.content, MAX_DOCUMENT_BYTES)
        await asyncio.to_thread(_finish, payload, [body])
        return buffer.getvalue()

    async def read_document(
        self, root: str, headers: Mapping[str, str] | None = None
    ) -> ElementTree.Element:
        """Return the XML document in the body, checked.

        Args:
            root: What its root must be named.
            headers: As for `read_body`.

        Raises:
            Refusal: As of `read_body`; or it is not such a document.
        """
        return await asyncio.to_thread(parse, await self.read_body(headers), root)

    async def receive(self, sink: Sink) -> None:
        """Write the body of an upload to a sink, and check it.

        Raises:
            ConnectionError: The client closed the connection before the end of the body.
            Refusal: The body does not have the checksums that the client sent.
        """
        payload = Payload(sink, self.headers, self.signatures)
        last = await receive_upload(self.request, payload)
        await asyncio.to_thread(_finish, payload, last)


def normal_key(text: str) -> str:
    """Return the key that a text means: as on a cluster, slashes at its beginning have no meaning.

    Nor have repeated ones.
    """
    return _SLASHES.sub("/", text.lstrip("/"))


def existing_name(bucket: str) -> BucketName:
    """Return the bucket of a name.

    Raises:
        Refusal: No bucket can have that name, so none has.
    """
    if not is_bucket_name(bucket):
        raise bucket_not_found(bucket)
    return BucketName(bucket)


def _finish(payload: Payload, last: list[bytes]) -> None:
    payload.write(last)
    payload.finish()
