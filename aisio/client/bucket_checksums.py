"""BucketChecksums: what buckets say of their checksums, asked for only in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aisio.client.control_replies import Reply
from aisio.errors import IntegrityError, StorageError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum
from aisio.urls import ObjectUrl
from aisio.wire import messages

__all__ = ["BucketChecksums"]

_log = logging.getLogger(__name__)


class BucketChecksums:
    """The checksum settings of a cluster's buckets, each asked for once.

    Args:
        call: Sends a control call; see `Session.call`.
    """

    def __init__(self, call: Callable[..., Reply]) -> None:
        self._call = call
        self._known: dict[str, messages.ChecksumProps] = {}
        self._unverified: set[str] = set()

    def of_ranges(self, url: ObjectUrl) -> bool:
        """Tell whether a range's checksum is its own in this bucket, not the object's.

        Where the cluster does not say, it is taken for the object's.
        """
        props = self._props(url)
        return props is not None and props.of_ranges

    def check_kind(self, checksum: Checksum, url: ObjectUrl) -> None:
        """Decide on a checksum whose type aisio does not know, by the type that the bucket uses.

        Where that is a known one, the answer was damaged, and what it verifies is not verified. A
        type that aisio does not know yet is told as a warning, once a bucket.

        Raises:
            IntegrityError: The bucket uses a checksum that aisio knows.
        """
        if checksum.kind in HASHERS or url.root in self._unverified:
            return
        props = self._props(url)
        if props is not None and props.kind in HASHERS:
            raise IntegrityError(
                f"GET {url}: the answer has a checksum of type {checksum.kind!r}, the bucket uses "
                f"{props.kind}: the answer was damaged on its way; read it again",
                url=str(url),
            )
        self._unverified.add(url.root)
        _log.warning(
            "%s: objects have checksums of type %r, which this version of aisio does not know: "
            "only their length is verified",
            url.root,
            checksum.kind,
        )

    def _props(self, url: ObjectUrl) -> messages.ChecksumProps | None:
        if url.root not in self._known:
            path, query = messages.bucket_path(url.bucket), messages.bucket_query(url)
            try:
                reply = self._call("HEAD", path, query=query, about=url.root)
                self._known[url.root] = messages.parse_checksum_props(reply.headers)
            except StorageError:
                return None
        return self._known[url.root]
