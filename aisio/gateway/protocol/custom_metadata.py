"""Custom metadata of objects: what of it an AIStore cluster takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aisio.gateway.protocol.refusals import Refusal

MOST_BYTES: Final = 2048
"""Of all keys and values of an object."""

_SEPARATOR = "\x01"
"""What AIStore writes between them."""


def check_custom(custom: Mapping[str, str], url: str) -> None:
    """Refuse custom metadata that AIStore refuses.

    Args:
        custom: All that the object is to have.
        url: The object.

    Raises:
        Refusal: An empty key, AIStore's separator, or too much of it.

    Source:
        AIStore 5.0, ValidateCustomMD in cmn/objattrs.go.
    """
    size = 0
    for key, value in custom.items():
        if not key:
            raise _refused(url, f'empty key (value="{value}")')
        if _SEPARATOR in key or _SEPARATOR in value:
            raise _refused(url, f"{key!r}={value!r}: key or value contains reserved symbol")
        size += len(key.encode()) + len(value.encode())
    if size > MOST_BYTES:
        raise _refused(url, f"total size {size} exceeds max {MOST_BYTES} bytes")


def _refused(url: str, why: str) -> Refusal:
    return Refusal(400, f"{url}: custom metadata: {why}")
