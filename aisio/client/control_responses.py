"""Responses to control calls, read whole within limits of time and memory."""

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

__all__ = ["ControlResponse", "MAX_BODY_BYTES", "check_status", "read_whole"]

MAX_BODY_BYTES = 256 * 1024 * 1024
"""The largest page of a listing, 10,000 names with all properties, has a tenth of that."""

_PIECE_BYTES = 1024 * 1024
_MAX_QUOTED_BYTES = 64 * 1024


class ControlResponse(NamedTuple):
    """A whole response to a control call."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_whole(
    response: requests.Response,
    low_speed: LowSpeedLimit | None,
    what: str,
    max_bytes: int = MAX_BODY_BYTES,
) -> bytes:
    """Return a whole body. requests itself would wait for a slow one as long as it lasts.

    Args:
        response: The open response.
        low_speed: How fast the body must come; None for any speed.
        what: Method and URL, for errors.
        max_bytes: How large the body may be.

    Raises:
        StoreTimeoutError: It came too slowly.
        IntegrityError: It is too large. Or it is compressed, which was not requested: a few bytes
            could fill the memory.
    """
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity" and response.status_code >= 400:
        return b""  # the status is enough for an error
    if coding != "identity":
        raise IntegrityError(
            f"{what}: the response is compressed ({coding}), though identity was requested: does a "
            f"proxy on the way compress it?"
        )
    body = BytesIO()  # a list of one-byte pieces would take many times their size
    while True:
        started = perf_counter()
        piece = response.raw.read1(_PIECE_BYTES, decode_content=False)
        if not piece:
            return body.getvalue()
        body.write(piece)
        if body.tell() > max_bytes:
            raise IntegrityError(f"{what}: the response has more than {max_bytes:,} bytes")
        if low_speed is not None:
            low_speed.add(len(piece), perf_counter() - started)
            if low_speed.is_missed():
                raise low_speed.error(what)


def check_status(response: ControlResponse, method: str, about: str) -> None:
    """Refuse a response that is not successful.

    Raises:
        StorageError: Its status is not in 200 to 299.
        IntegrityError: It is a web page.
    """
    status = response.status
    if 200 <= status < 300:
        refuse_web_page(response.headers, method, about)
        return
    if status < 400:
        raise StorageError(
            f"{method} {about}: answered {status}, which says neither that it was done nor why not",
            url=about,
            status=status,
        )
    reason = utf8_text(response.headers.get("Hdr-Error") or "")
    raise error_for(
        status,
        reason or response.body[:_MAX_QUOTED_BYTES].decode("utf-8", "replace"),
        operation=method,
        url=about,
        retry_after_s=retry_after_s(response.headers),
    )
