"""The list of unfinished multipart uploads that AIStore sends, in the form of S3.

Source:
    AIStore 5.0, GET /s3/BUCKET?uploads, by experiment: the proxy sends the uploads of all targets
    at once, and ignores prefix and max-uploads. A gateway sends pages of 1,000, as Amazon does.
    Amazon S3 API, ListMultipartUploads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from aisio.errors import IntegrityError
from aisio.records import UnfinishedUpload
from aisio.wire.xml_messages import child_texts, iso_seconds, parse_xml, tag_of

__all__ = ["UploadsPage", "follow_pages", "parse_uploads", "uploads_path"]


class UploadsPage(NamedTuple):
    """One page of the list of unfinished uploads.

    Attributes:
        uploads: The uploads.
        next_markers: The query parameters that continue the list; empty on the last page.
    """

    uploads: list[UnfinishedUpload]
    next_markers: Mapping[str, str]


def uploads_path(bucket: str, markers: Mapping[str, str]) -> str:
    """Return the path and query of a page of the list of a bucket's uploads.

    Args:
        bucket: Its name.
        markers: Those of the page before; empty for the first one.
    """
    query = f"&{urlencode(markers)}" if markers else ""
    return f"/s3/{quote(bucket)}?uploads{query}"


def follow_pages(
    fetch: Callable[[Mapping[str, str]], UploadsPage], endless: Callable[[str], IntegrityError]
) -> Iterator[UnfinishedUpload]:
    """Yield the uploads of all pages of a list.

    Args:
        fetch: Returns the page behind these markers; the first one for none.
        endless: Returns the error for a list that comes to a name again.

    Raises:
        IntegrityError: The list does not end.
    """
    markers: Mapping[str, str] = {}
    seen: set[tuple[str, ...]] = set()
    while True:
        uploads, markers = fetch(markers)
        yield from uploads
        if not markers:
            return
        if (place := tuple(markers.values())) in seen:
            raise endless(place[0])
        seen.add(place)


def parse_uploads(body: bytes, root: str) -> UploadsPage:
    """Parse a page of the list of uploads.

    Args:
        body: The response's body.
        root: URL of the bucket.

    Raises:
        IntegrityError: It is no such page, or the list cannot be continued after it.
    """
    about = f"list uploads of {root}"
    tree = parse_xml(body, "ListMultipartUploadsResult", about)
    values, uploads = child_texts(tree), [*_uploads(tree, root)]
    if values.get("IsTruncated") != "true":
        return UploadsPage(uploads, {})
    key, upload_id = values.get("NextKeyMarker"), values.get("NextUploadIdMarker")
    if not key or not upload_id:
        raise IntegrityError(f"{about}: the answer has not all of them, and names no next page")
    return UploadsPage(uploads, {"key-marker": key, "upload-id-marker": upload_id})


def _uploads(tree: ElementTree.Element, root: str) -> Iterator[UnfinishedUpload]:
    for element in tree:
        if tag_of(element) == "Upload":
            fields = child_texts(element)
            url = f"{root}/{fields.get('Key', '')}"
            begun_s = iso_seconds(fields.get("Initiated", ""))
            yield UnfinishedUpload(url, fields.get("UploadId", ""), begun_s)
