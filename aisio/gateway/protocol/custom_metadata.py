"""Custom metadata of objects: which of it an AIStore cluster accepts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aisio.gateway.protocol.refusals import Refusal

MAX_BYTES: Final = 2048
"""The limit for all keys and values of an object together."""

_SEPARATOR = "\x01"
"""What AIStore writes between keys and values."""


def check_custom(custom: Mapping[str, str], url: str) -> None:
    """Refuse custom metadata that AIStore refuses.

    Args:
        custom: All custom metadata that the object will have.
        url: The object, for messages.

    Raises:
        Refusal: An empty key, AIStore's separator in a key or value, or too many bytes.

    Source:
        AIStore 5.0, ValidateCustomMD in cmn/objattrs.go.
    """
    size = 0
    for key, value in custom.items():
        if not key:
            raise _invalid(url, f'empty key (value="{value}")')
        if _SEPARATOR in key or _SEPARATOR in value:
            raise _invalid(url, f"{key!r}={value!r}: key or value contains reserved symbol")
        size += len(key.encode()) + len(value.encode())
    if size > MAX_BYTES:
        raise _invalid(url, f"total size {size} exceeds max {MAX_BYTES} bytes")


def _invalid(url: str, reason: str) -> Refusal:
    return Refusal(400, f"{url}: custom metadata: {reason}")
