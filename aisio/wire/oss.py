"""The messages of Alibaba Cloud OSS: headers of objects, and XML.

Names and tokens in XML are percent-encoded where a request asks for `encoding-type=url`: XML itself
has no characters for some of those that a name may hold.

Source:
    OSS API reference: GetObject, ListObjectsV2, ListMultipartUploads, InitiateMultipartUpload,
    CompleteMultipartUpload, "Error responses".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from aisio.errors import IntegrityError
from aisio.records import Checksum, ObjectInfo, UnfinishedUpload
from aisio.urls import ObjectUrl
from aisio.wire.http1 import http_seconds, whole_number
from aisio.wire.uploads import UploadsPage
from aisio.wire.xml_messages import child_texts, iso_seconds, parse_xml, tag_of

__all__ = [
    "ErrorMessage",
    "Page",
    "check_completed",
    "complete_message",
    "parse_checksum",
    "parse_error",
    "parse_object_headers",
    "parse_page",
    "parse_upload_id",
    "parse_uploads_page",
]

_HASH = "x-oss-hash-crc64ecma"
_MAX_HASH_DIGITS = 20


class Page(NamedTuple):
    """One page of a listing.

    Attributes:
        objects: Objects in bytewise order of their names.
        next_token: What continues the listing; "" on the last page.
    """

    objects: list[ObjectInfo]
    next_token: str


class ErrorMessage(NamedTuple):
    """What an error response says.

    Attributes:
        code: As in "NoSuchKey"; "" if the response has none.
        message: A sentence for people; "" likewise.
        endpoint: Where the bucket is, if not here; "" if the response does not say.
    """

    code: str = ""
    message: str = ""
    endpoint: str = ""


def parse_object_headers(headers: Mapping[str, str], url: ObjectUrl) -> ObjectInfo:
    """Return what the headers of a response to GET or HEAD say about the whole object."""
    content_range = headers.get("Content-Range")
    size = content_range.rpartition("/")[2] if content_range else headers.get("Content-Length")
    version = headers.get("x-oss-version-id") or ""
    return ObjectInfo(
        url.root,
        url.name,
        whole_number(size),
        parse_checksum(headers),
        "" if version == "null" else version,
        (headers.get("ETag") or "").strip('"'),
        http_seconds(headers.get("Last-Modified")),
    )


def parse_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Return the CRC-64 of the object, or of the part, that a response is about."""
    text = headers.get(_HASH) or ""
    if not text.isdecimal() or len(text) > _MAX_HASH_DIGITS:
        return None
    return Checksum("crc64ecma", f"{int(text):016x}")


def parse_page(body: bytes, root: str) -> Page:
    """Parse one page of a listing.

    Args:
        body: The response's body.
        root: URL of the bucket.

    Raises:
        IntegrityError: It is no page, or the listing cannot be continued after it.
    """
    tree = parse_xml(body, "ListBucketResult", f"list {root}")
    values = child_texts(tree)
    objects = [_listed(element, values, root) for element in tree if tag_of(element) == "Contents"]
    next_token = _decoded(values.get("NextContinuationToken", ""), values)
    if _is_last(values, f"list {root}"):
        return Page(objects, "")
    if not next_token:
        raise IntegrityError(f"list {root}: a page that is not the last names no next page")
    return Page(objects, next_token)


def _listed(element: ElementTree.Element, page: Mapping[str, str], root: str) -> ObjectInfo:
    fields = child_texts(element)
    size = whole_number(fields.get("Size"))
    if size is None or not fields.get("Key"):
        raise IntegrityError(f"list {root}: an entry has no name or no size: {fields}")
    return ObjectInfo(
        root,
        _decoded(fields["Key"], page),
        size,
        etag=fields.get("ETag", "").strip('"'),
        mtime_s=iso_seconds(fields.get("LastModified", "")),
    )


def parse_uploads_page(body: bytes, root: str) -> UploadsPage:
    """Parse one page of the list of unfinished uploads.

    Args:
        body: The response's body.
        root: URL of the bucket.

    Raises:
        IntegrityError: It is no such page, or the list cannot be continued after it.
    """
    tree = parse_xml(body, "ListMultipartUploadsResult", f"list uploads of {root}")
    values = child_texts(tree)
    uploads = [*_uploads(tree, values, root)]
    if _is_last(values, f"list uploads of {root}"):
        return UploadsPage(uploads, {})
    key, upload_id = values.get("NextKeyMarker"), values.get("NextUploadIdMarker")
    if not key or not upload_id:
        raise IntegrityError(f"list uploads of {root}: a page that is not the last names no next")
    markers = {"key-marker": _decoded(key, values), "upload-id-marker": upload_id}
    return UploadsPage(uploads, markers)


def _uploads(
    tree: ElementTree.Element, page: Mapping[str, str], root: str
) -> Iterator[UnfinishedUpload]:
    for element in tree:
        if tag_of(element) == "Upload":
            fields = child_texts(element)
            url = f"{root}/{_decoded(fields.get('Key', ''), page)}"
            begun_s = iso_seconds(fields.get("Initiated", ""))
            yield UnfinishedUpload(url, fields.get("UploadId", ""), begun_s)


def parse_upload_id(body: bytes, about: str) -> str:
    """Return the id in the response that begins a multipart upload.

    Raises:
        IntegrityError: The response has none.
    """
    upload_id = child_texts(parse_xml(body, "InitiateMultipartUploadResult", f"POST {about}"))
    if not upload_id.get("UploadId"):
        raise IntegrityError(f"POST {about}: the answer has no id of an upload", url=about)
    return upload_id["UploadId"]


def complete_message(etags: Sequence[str]) -> bytes:
    """Return the message that makes one object of parts.

    Args:
        etags: The entity tag of each part, in the order of the parts.
    """
    root = ElementTree.Element("CompleteMultipartUpload")
    for number, etag in enumerate(etags, 1):
        part = ElementTree.SubElement(root, "Part")
        ElementTree.SubElement(part, "PartNumber").text = str(number)
        ElementTree.SubElement(part, "ETag").text = f'"{etag}"'
    return ElementTree.tostring(root)


def check_completed(body: bytes, about: str) -> None:
    """Refuse a response to `complete_message` that does not say that the object was made.

    Raises:
        IntegrityError: It is another message, as an error with status 200.
    """
    parse_xml(body, "CompleteMultipartUploadResult", f"POST {about}")


def parse_error(body: bytes, headers: Mapping[str, str]) -> ErrorMessage:
    """Return what an error response says, as far as it can be told.

    Args:
        body: The response's body; that of a response to HEAD is empty.
        headers: They have the message where there is no body.
    """
    try:
        body = body or base64.b64decode(headers.get("x-oss-err") or "")
        fields = child_texts(parse_xml(body, "Error", ""))
    except (binascii.Error, ValueError, IntegrityError):
        return ErrorMessage()
    names = ("Code", "Message", "Endpoint")
    return ErrorMessage(*(fields.get(name, "")[:300] for name in names))


def _is_last(page: Mapping[str, str], about: str) -> bool:
    truncated = page.get("IsTruncated")
    if truncated not in ("true", "false"):
        raise IntegrityError(f"{about}: a page does not say whether it is the last one")
    return truncated == "false"


def _decoded(name: str, page: Mapping[str, str]) -> str:
    return unquote(name) if page.get("EncodingType") == "url" else name
