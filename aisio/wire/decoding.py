"""Turning what a decoder raises for a response into one error of aisio.

The server may be broken or hostile: the response may be nested a hundred thousand levels deep, hold
text that is not UTF-8 or numbers of any length, or claim more entries than memory holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from aisio.errors import IntegrityError, StorageError

__all__ = ["DECODE_ERRORS", "decoding"]

DECODE_ERRORS: tuple[type[Exception], ...] = (
    *(msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError),
    *(RecursionError, MemoryError, OverflowError),
)
"""What decoders, and code that reads their results, raise for invalid bytes. The errors of older
versions of msgspec are not ValueErrors."""

_MAX_REASON_CHARS = 300


@contextmanager
def decoding(what: str, url: str | None = None) -> Iterator[None]:
    """Turn errors of decoding a response, raised within the block, into one error.

    Args:
        what: The beginning of its text, as in "the reply is not a cluster map".
        url: The object or bucket that the response is about.

    Raises:
        IntegrityError: The response cannot be decoded.
    """
    try:
        yield
    except StorageError:
        raise
    except DECODE_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
        raise IntegrityError(f"{what}: {reason}", url=url) from error
