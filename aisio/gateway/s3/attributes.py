"""GetObjectAttributes: what is known of an object, without its bytes. Pure.

Source: Amazon S3 API Reference, "GetObjectAttributes".
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aisio.gateway.http.object_headers import etag
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.documents import document, element, group
from aisio.gateway.storage.records import Record

__all__ = ["attributes_document"]

_WANTED = "x-amz-object-attributes"
_NAMES = frozenset({"Checksum", "ETag", "ObjectParts", "ObjectSize", "StorageClass"})


def attributes_document(
    headers: Mapping[str, str], record: Record, status: os.stat_result
) -> bytes:
    """Return the attributes that a request names, as far as the object has them.

    Checksums of S3 are compared when an object is stored, and not kept: it has none.

    Args:
        headers: The request's headers.
        record: What is on record of the object.
        status: Of its file.

    Raises:
        Refusal: The request names none, or one that S3 has not.
    """
    wanted = {name.strip() for name in headers.get(_WANTED, "").split(",")} - {""}
    if not wanted or not wanted <= _NAMES:
        message = f"{_WANTED}: expected some of {', '.join(sorted(_NAMES))}"
        raise Refusal(400, message, tcode="InvalidArgument")
    parts = record.multipart
    known = {
        "ETag": element("ETag", etag(record, status)),
        "ObjectParts": group("ObjectParts", element("PartsCount", parts.part_count))
        if parts
        else "",
        "StorageClass": element("StorageClass", "STANDARD"),
        "ObjectSize": element("ObjectSize", status.st_size),
    }
    found = [text for name, text in known.items() if name in wanted]
    return document("GetObjectAttributesResponse", *found)
