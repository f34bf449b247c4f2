"""What can go wrong in decoding a reply, as one error of aisio's. Pure.

Whoever answers may be broken or hostile: nested a hundred thousand levels deep, with text that is
not UTF-8, numbers of any length, or more entries claimed than memory holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from aisio.errors import IntegrityError, StorageError

__all__ = ["UNREADABLE", "decoding"]

UNREADABLE: tuple[type[Exception], ...] = (
    *(msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, MemoryError, OverflowError),
)
"""What decoders, and code that looks into what they give, raise for bytes that were not meant.
Errors of older versions of msgspec are no ValueErrors."""

_LONGEST_REASON = 300


@contextmanager
def decoding(what: str, url: str | None = None) -> Iterator[None]:
    """Turn what decoding a reply raises into one error.

    Args:
        what: Which reply is not what it should be, as in "the reply is not a cluster map".
        url: What it was asked about.

    Raises:
        IntegrityError: The reply cannot be decoded.
    """
    try:
        yield
    except StorageError:
        raise
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        raise IntegrityError(f"{what}: {reason}", url=url) from error
