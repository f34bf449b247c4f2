"""Replies to control calls, read whole within bounds of time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from time import perf_counter
from typing import NamedTuple

import requests

from aisio.errors import IntegrityError, StorageError
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.response_body import refuse_web_page
from aisio.transport.low_speed import LowSpeedLimit
from aisio.wire.http1 import utf8_text
from aisio.wire.messages import error_for

__all__ = ["MOST_BYTES", "Reply", "check_status", "read_whole"]

MOST_BYTES = 256 * 1024 * 1024
"""The largest pages of a listing, 10,000 names with all properties, are a tenth of that."""

_PIECE_BYTES = 1024 * 1024
_QUOTED_BYTES = 64 * 1024


class Reply(NamedTuple):
    """A whole answer to a control call."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_whole(
    response: requests.Response,
    low_speed: LowSpeedLimit | None,
    what: str,
    most_bytes: int = MOST_BYTES,
) -> bytes:
    """Return a whole body; requests itself would wait for one that trickles as long as it lasts.

    Args:
        response: The open reply.
        low_speed: What it must give while it is waited for; None for anything.
        what: Was asked for.
        most_bytes: How large it may be.

    Raises:
        StoreTimeoutError: It came too slowly.
        IntegrityError: It is too large; or it is packed, which was not asked for: a few bytes could
            fill the memory.
    """
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity" and response.status_code >= 400:
        return b""  # the status says the most
    if coding != "identity":
        raise IntegrityError(
            f"{what}: the reply is packed ({coding}), though identity was asked for: is there a "
            f"proxy on the way that packs it?"
        )
    body = BytesIO()  # a piece may be of one byte: a list of them takes many times their size
    while True:
        started = perf_counter()
        piece = response.raw.read1(_PIECE_BYTES, decode_content=False)
        if not piece:
            return body.getvalue()
        body.write(piece)
        if body.tell() > most_bytes:
            raise IntegrityError(f"{what}: the reply has more than {most_bytes:,} bytes")
        if low_speed is not None:
            low_speed.add(len(piece), perf_counter() - started)
            if low_speed.is_missed():
                raise low_speed.error(what)


def check_status(reply: Reply, method: str, about: str) -> None:
    """Refuse a reply that is no success.

    Raises:
        StorageError: Its status is not in 200 to 299.
        IntegrityError: It is a web page.
    """
    status = reply.status
    if 200 <= status < 300:
        refuse_web_page(reply.headers, method, about)
        return
    if status < 400:
        raise StorageError(
            f"{method} {about}: answered {status}, which says neither that it was done nor why not",
            url=about,
            status=status,
        )
    told = utf8_text(reply.headers.get("Hdr-Error") or "")
    raise error_for(
        status,
        told or reply.body[:_QUOTED_BYTES].decode("utf-8", "replace"),
        operation=method,
        url=about,
        retry_after_s=retry_after_s(reply.headers),
    )
