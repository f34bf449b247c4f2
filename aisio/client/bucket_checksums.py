"""BucketChecksums: the checksum settings of buckets, requested only where they are needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from aisio.client.control_responses import ControlResponse
from aisio.errors import IntegrityError, StorageError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum
from aisio.urls import ObjectUrl
from aisio.wire import messages

__all__ = ["BucketChecksums"]

_log = logging.getLogger(__name__)

Call: TypeAlias = Callable[..., ControlResponse]
"""Sends a control call; see `Session.call`."""


class BucketChecksums:
    """The checksum settings of a cluster's buckets, each requested once.

    A caller gives its `Session.call`: a session that was kept here, where the session keeps this,
    would not be freed before the garbage collector runs.
    """

    def __init__(self) -> None:
        self._props_by_bucket: dict[str, messages.ChecksumProps] = {}
        self._warned_of: set[str] = set()

    def has_range_checksums(self, url: ObjectUrl, call: Call) -> bool:
        """Return whether this bucket sends a range with that range's checksum, not the object's.

        If the cluster does not say, the checksum is taken for the object's.
        """
        props = self._props(url, call)
        return props is not None and props.of_ranges

    def check_kind(self, checksum: Checksum, url: ObjectUrl, call: Call) -> None:
        """Check a checksum of a type that aisio does not know against the type of the bucket.

        If aisio does not know the bucket's type either, a warning is logged, once for each bucket,
        and the data is not verified.

        Raises:
            IntegrityError: The bucket uses a type that aisio knows: the response was damaged.
        """
        if checksum.kind in HASHERS or url.root in self._warned_of:
            return
        props = self._props(url, call)
        if props is not None and props.kind in HASHERS:
            raise IntegrityError(
                f"GET {url}: the answer has a checksum of type {checksum.kind!r}, the bucket uses "
                f"{props.kind}: the answer was damaged on its way; read it again",
                url=str(url),
            )
        self._warned_of.add(url.root)
        _log.warning(
            "%s: objects have checksums of type %r, which this version of aisio does not know: "
            "only their length is verified",
            url.root,
            checksum.kind,
        )

    def kind(self, url: ObjectUrl, call: Call) -> str:
        """Return the type of a bucket's checksums; "none" for none, or if the cluster is silent."""
        props = self._props(url, call)
        return "none" if props is None else props.kind

    def _props(self, url: ObjectUrl, call: Call) -> messages.ChecksumProps | None:
        if url.root not in self._props_by_bucket:
            path, query = messages.bucket_path(url.bucket), messages.bucket_query(url)
            try:
                response = call("HEAD", path, query=query, about=url.root)
                props = messages.parse_checksum_props(response.headers)
            except StorageError:
                return None
            self._props_by_bucket[url.root] = props
        return self._props_by_bucket[url.root]
