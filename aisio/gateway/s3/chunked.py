r"""ChunkDecoder: the content encoding aws-chunked, in which SDKs send checksums behind the data.

    3;chunk-signature=...\r\n
    abc\r\n
    0;chunk-signature=...\r\n
    x-amz-checksum-crc32:NSRBwg==\r\n
    x-amz-trailer-signature:...\r\n
    \r\n

Pure. The signatures are there in the signed forms only, and the two trailing headers if they were
announced.

Source: Amazon S3 API Reference, "Signature calculations for the authorization header: transferring
payload in multiple chunks".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.signatures import ChunkSignatures

_MAX_LINE_BYTES = 4096
_MAX_TRAILERS = 16
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


class ChunkDecoder:
    """Decodes a body piece by piece.

    Args:
        signatures: Verifies the chunks' signatures; None ignores them.

    Attributes:
        trailers: The headers behind the last chunk, by names in lower case.
    """

    def __init__(self, signatures: ChunkSignatures | None = None) -> None:
        self.trailers: dict[str, str] = {}
        self._signatures = signatures
        self._line = bytearray()
        self._remaining = 0
        self._sha256 = hashlib.sha256()
        self._signature = ""
        self._step = self._read_head
        self._trailer_text = b""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data in the next piece of the body.

        Raises:
            Refusal: It is not encoded so, or a signature is wrong.
        """
        start = 0
        while start < len(piece):
            if self._remaining:
                data = piece[start : start + self._remaining]
                start += len(data)
                self._remaining -= len(data)
                if self._signatures is not None:
                    self._sha256.update(data)
                if not self._remaining:
                    self._step = self._end_data
                yield data
                continue
            end = piece.find(b"\n", start) + 1
            self._line += piece[start : end or len(piece)]
            if len(self._line) > _MAX_LINE_BYTES:
                raise _incomplete("a line between its chunks is too long")
            if not end:
                return
            start = end
            line, self._line = bytes(self._line).rstrip(b"\r\n"), bytearray()
            self._step(line)

    def finish(self) -> None:
        """Check that the body has ended.

        Raises:
            Refusal: It was cut.
        """
        # The empty line at the end may be missing: some clients do not send it.
        if self._step == self._read_trailer and not self._line:
            self._read_trailer(b"")
        if self._step != self._read_nothing:
            raise _incomplete("it ends before its last chunk")

    def _read_head(self, line: bytes) -> None:
        match = _CHUNK_HEAD.fullmatch(line)
        if match is None:
            raise _incomplete(f"{line[:40]!r} does not begin a chunk")
        self._remaining = int(match[1], 16)
        self._signature = (match[2] or b"").decode()
        self._sha256 = hashlib.sha256()
        if not self._remaining:
            self._check_chunk()
            self._step = self._read_trailer

    def _end_data(self, line: bytes) -> None:
        if line:
            raise _incomplete("a chunk is longer than announced")
        self._check_chunk()
        self._step = self._read_head

    def _read_trailer(self, line: bytes) -> None:
        if line:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or len(self.trailers) >= _MAX_TRAILERS:
                raise Refusal(400, "trailing headers are malformed", tcode="MalformedTrailerError")
            self.trailers[name.strip().lower()] = value.strip()
            if name.strip().lower() != _TRAILER_SIGNATURE:
                self._trailer_text += line + b"\n"
            return
        if self._signatures is not None and self.trailers:
            signature = self.trailers.get(_TRAILER_SIGNATURE, "")
            self._signatures.check_trailer(self._trailer_text, signature)
        self._step = self._read_nothing

    def _read_nothing(self, line: bytes) -> None:
        if line:
            raise _incomplete("bytes follow its last chunk")

    def _check_chunk(self) -> None:
        if self._signatures is not None:
            self._signatures.check_chunk(self._sha256.hexdigest(), self._signature)


def _incomplete(why: str) -> Refusal:
    return Refusal(400, f"the body is not complete aws-chunked data: {why}", tcode="IncompleteBody")
