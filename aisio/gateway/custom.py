"""Custom metadata of objects: what of it can be kept, and sent in headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aisio.gateway.refusals import Refusal

MOST_BYTES: Final = 2048
"""Of all keys and values of an object (maxSizeCustomKVs in AIStore 5.0, cmn/objattrs.go)."""

MOST_ITEMS: Final = 64
"""Each is a header, and Python's http.client reads a hundred headers, AIStore's other ones among
them."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, 5.5: no part of a header's value


def check_custom(custom: Mapping[str, str], url: str) -> None:
    """Refuse custom metadata that no reply could carry.

    Args:
        custom: All that the object is to have.
        url: The object.

    Raises:
        Refusal: An empty key, a control character, or too much of it.
    """
    for key, value in custom.items():
        if not key:
            raise _refused(url, f'empty key (value="{value}")')
        if _CONTROL.search(key) or _CONTROL.search(value):
            raise _refused(url, f"{key!r}={value!r}: key or value contains a control character")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in custom.items())
    if size > MOST_BYTES:
        raise _refused(url, f"total size {size} exceeds max {MOST_BYTES} bytes")
    if len(custom) > MOST_ITEMS:
        raise _refused(url, f"{len(custom)} items exceed max {MOST_ITEMS}")


def _refused(url: str, why: str) -> Refusal:
    return Refusal(400, f"{url}: custom metadata: {why}")
