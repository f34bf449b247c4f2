"""Payload: the body of an S3 request, decoded and checked while it is written somewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from aisio.gateway.http.request_body import Sink
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.checksums import ALGORITHMS, PREFIX, BinaryHasher, decode_base64
from aisio.gateway.s3.chunked import ChunkDecoder
from aisio.gateway.s3.signatures import UNSIGNED_PAYLOAD, ChunkSignatures

_SHA256 = "x-amz-content-sha256"
_STREAMING = "STREAMING-"
_SIGNED_CHUNKS = frozenset(
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
)
_UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_NOT_ALGORITHMS = frozenset({"algorithm", "mode", "type"})
"""What follows PREFIX in headers that hold no checksum."""


class Buffer:
    """Keeps the bytes in memory."""

    def __init__(self) -> None:
        self._pieces = list[bytes]()

    def write(self, pieces: list[bytes]) -> None:
        """Take the next bytes."""
        self._pieces += pieces

    def getvalue(self) -> bytes:
        """Return all bytes."""
        return b"".join(self._pieces)


class _Nowhere:
    """Keeps no bytes."""

    def write(self, pieces: list[bytes]) -> None:
        """Take the next bytes."""


@dataclass
class _Check:
    """A checksum that the client sends, in a header or behind the data."""

    header: str
    hasher: BinaryHasher
    expected: bytes | None
    code: str = "BadDigest"


class Payload:
    """The body of a request.

    Args:
        sink: Where its data goes.
        headers: The request's headers, by names in lower case.
        signatures: Verifies the chunks of an aws-chunked body; None ignores their signatures.

    Attributes:
        size_bytes: Size of the data so far.

    Raises:
        Refusal: A checksum is malformed, of an unknown algorithm, or the encoding is unknown.
    """

    def __init__(
        self, sink: Sink, headers: Mapping[str, str], signatures: ChunkSignatures | None = None
    ) -> None:
        self.size_bytes = 0
        self._sink = sink
        self._announced = headers.get("x-amz-decoded-content-length", "")
        self._decoder = _decoder(headers, signatures)
        self._checks = [*_header_checks(headers), *_trailer_checks(headers, self._decoder)]

    @classmethod
    def of_object(cls, headers: Mapping[str, str]) -> Payload:
        """Return what checks the data of an object that is made without a body.

        Args:
            headers: The headers of the request; its checksums are those of the object.

        Raises:
            Refusal: A checksum is malformed, or of an unknown algorithm.
        """
        kept = {name: value for name, value in headers.items() if name.startswith(PREFIX)}
        return cls(_Nowhere(), kept)

    def write(self, pieces: list[bytes]) -> None:
        """Decode, hash and write the next pieces of the body.

        Raises:
            Refusal: They are not encoded as announced, or a chunk's signature is wrong.
        """
        if self._decoder is not None:
            pieces = [data for piece in pieces for data in self._decoder.decode(piece)]
        for piece in pieces:
            self.size_bytes += len(piece)
            for check in self._checks:
                check.hasher.update(piece)
        self._sink.write(pieces)

    def finish(self) -> None:
        """Check that the data is complete and has the checksums that the client sent.

        Raises:
            Refusal: It is not, or has not.
        """
        trailers: Mapping[str, str] = {}
        if self._decoder is not None:
            self._decoder.finish()
            trailers = self._decoder.trailers
            if self._announced and self._announced != str(self.size_bytes):
                message = f"announced {self._announced} bytes, received {self.size_bytes}"
                raise Refusal(400, message, tcode="IncompleteBody")
        for check in self._checks:
            digest, expected = check.hasher.digest(), check.expected
            if expected is None:
                if check.header not in trailers:
                    message = f"the body does not end with the trailing header {check.header}"
                    raise Refusal(400, message, tcode="MalformedTrailerError")
                expected = decode_base64(trailers[check.header], len(digest), check.header)
            if digest != expected:
                message = f"the received data has another checksum than {check.header} says"
                raise Refusal(400, message, tcode=check.code)


def _decoder(headers: Mapping[str, str], signatures: ChunkSignatures | None) -> ChunkDecoder | None:
    kind = headers.get(_SHA256, UNSIGNED_PAYLOAD)
    if kind == UNSIGNED_PAYLOAD and "aws-chunked" in headers.get("content-encoding", ""):
        kind = _UNSIGNED_CHUNKS  # clients that do not sign leave the other header out
    if not kind.startswith(_STREAMING):
        return None
    if kind == _UNSIGNED_CHUNKS:
        return ChunkDecoder()
    if kind in _SIGNED_CHUNKS:
        return ChunkDecoder(signatures)
    raise Refusal(501, f"{_SHA256}: {kind} is not supported", tcode="NotImplemented")


def _header_checks(headers: Mapping[str, str]) -> list[_Check]:
    """Return the checks of the headers' checksums."""
    checks = list[_Check]()
    for header, value in headers.items():
        if is_checksum(header):
            hasher = new_hasher(header)
            expected = decode_base64(value, len(hasher.digest()), header)
            checks.append(_Check(header, hasher, expected))
    if (md5 := headers.get("content-md5")) is not None:
        hasher = hashlib.md5(usedforsecurity=False)
        checks.append(_Check("content-md5", hasher, decode_base64(md5, 16, "content-md5")))
    payload = headers.get(_SHA256, UNSIGNED_PAYLOAD)
    if payload != UNSIGNED_PAYLOAD and not payload.startswith(_STREAMING):
        try:
            digest = bytes.fromhex(payload)
        except ValueError:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise Refusal(400, f"{_SHA256} is not a SHA-256 in hexadecimal", tcode="InvalidDigest")
        checks.append(_Check(_SHA256, hashlib.sha256(), digest, "XAmzContentSHA256Mismatch"))
    return checks


def _trailer_checks(headers: Mapping[str, str], decoder: ChunkDecoder | None) -> list[_Check]:
    """Return the checks of the checksums that are announced to follow the data."""
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
    names = [name for name in names if name.startswith(PREFIX)]
    if names and decoder is None:
        message = "x-amz-trailer announces a trailing header, and the body is not aws-chunked"
        raise Refusal(400, message, tcode="InvalidRequest")
    return [_Check(name, new_hasher(name), None) for name in names]


def is_checksum(header: str) -> bool:
    """Tell whether a header holds a checksum."""
    return header.startswith(PREFIX) and header.removeprefix(PREFIX) not in _NOT_ALGORITHMS


def new_hasher(header: str) -> BinaryHasher:
    """Return a hasher of the algorithm that the name of a header has.

    Raises:
        Refusal: It is not known.
    """
    algorithm = header.removeprefix(PREFIX)
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        message = f"checksum algorithm {algorithm!r} is not supported, only {known}"
        raise Refusal(501, message, tcode="NotImplemented")
    return ALGORITHMS[algorithm]()
