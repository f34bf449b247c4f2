"""The digest of a listing: one short text that changes with the objects of a source."""

from __future__ import annotations

import hashlib
import json

from aisio.records import ObjectInfo
from aisio.sources.base import Source

__all__ = ["ListingDigest", "listing_digest"]

_ALGORITHM = "sha256"


class ListingDigest:
    """Computes a digest while a source is listed; see `listing_digest`.

    Args:
        base_url: The source's `base_url`.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._hasher = hashlib.new(_ALGORITHM)
        self.count = 0

    def add(self, info: ObjectInfo) -> None:
        """Add the next object."""
        checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else None
        row = (info.url.removeprefix(self._base_url), info.size_bytes, checksum)
        # ASCII: JSON escapes a line end, or half a surrogate pair, within a name.
        self._hasher.update(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
        self.count += 1

    def text(self) -> str:
        """Return the digest of the objects so far."""
        return f"{_ALGORITHM}:{self._hasher.hexdigest()}"


def listing_digest(source: Source) -> str:
    r"""List a source and return the digest of its listing, "sha256:<64 hexadecimal digits>".

    It is the SHA-256 of one line for each object, in the order of the listing: a JSON array of
    name, size and checksum, in ASCII and without blanks, ended by "\n", as in

        ["a.jpg",1024,"xxhash2:0123456789abcdef"]

    The name is relative to the source's folder (`Source.base_url`): the part of a prefix up to its
    last "/", the tar, the folder of a manifest, or that of the text before a template's first
    range. An object outside of that folder, and any object of a list of URLs, is named by its whole
    URL. What the listing does not report is null: URLs, templates and manifests have only names,
    local folders and tars only names and sizes.

    So the digest does not depend on the page size of the listing, nor, except for the checksums, on
    the bucket. It does depend on the order of the objects.

    Args:
        source: The source; if it has a digest, its listing is not compared with it.

    Raises:
        NotFoundError: There is no such bucket, folder, manifest or tar.
    """
    digest = ListingDigest(source.base_url)
    for info in source.unpinned.list():
        digest.add(info)
    return digest.text()
