"""A line in the log for each request to OSS: what was asked for, and what came of it.

    GET oss://bucket/train/a.jpg bytes=0-65535 206

The logger is `aisio.requests`, at level INFO. Keys, tokens and signatures are in the headers of a
request, and in no line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aisio.errors import AisioError, StorageError
from aisio.escapes import one_line

__all__ = ["logged"]

_log = logging.getLogger("aisio.requests")


@contextmanager
def logged(
    method: str, url: str, query: str, headers: Mapping[str, str]
) -> Iterator[Callable[[int], None]]:
    """Log the request that is sent within the block: its status, or the kind of its error.

    Args:
        method: HTTP method.
        url: The object, or the bucket.
        query: The query; "" for none.
        headers: Those of the request; the range is logged.

    Yields:
        A function to call with the status of the response.
    """
    if not _log.isEnabledFor(logging.INFO):
        yield lambda _status: None
        return
    address = one_line(f"{url}?{query}" if query else url)
    request = " ".join(filter(None, (method, address, headers.get("Range"))))
    try:
        yield lambda status: _log.info("%s %d", request, status)
    except AisioError as error:
        status = error.status if isinstance(error, StorageError) else None
        _log.info("%s %s", request, status or type(error).__name__)
        raise
