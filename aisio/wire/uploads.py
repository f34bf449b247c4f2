"""The list of unfinished multipart uploads that AIStore sends, in the form of S3.

Source:
    AIStore 5.0, GET /s3/BUCKET?uploads, by experiment: the proxy sends the uploads of all targets
    at once, and ignores prefix and max-uploads. Amazon S3 API, ListMultipartUploads.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote
from xml.etree import ElementTree

from aisio.errors import IntegrityError
from aisio.records import UnfinishedUpload

__all__ = ["parse_uploads", "uploads_path"]


def uploads_path(bucket: str) -> str:
    """Return the path and query of the list of a bucket's uploads."""
    return f"/s3/{quote(bucket)}?uploads"


def parse_uploads(body: bytes, root: str) -> Iterator[UnfinishedUpload]:
    """Parse a list of uploads.

    Args:
        body: The response's body.
        root: URL of the bucket.

    Raises:
        IntegrityError: It is no such list, or not all of it.
    """
    if b"<!" in body:  # no entities, which could expand without end
        raise IntegrityError(f"list uploads of {root}: the answer is no list of S3")
    try:
        tree = ElementTree.fromstring(body)  # noqa: S314 - see above
    except ElementTree.ParseError as error:
        raise IntegrityError(f"list uploads of {root}: the answer is no list: {error}") from error
    values = {_name(element): element.text or "" for element in tree}
    if _name(tree) != "ListMultipartUploadsResult" or values.get("IsTruncated") == "true":
        raise IntegrityError(f"list uploads of {root}: the answer is no list, or not all of it")
    for element in tree:
        if _name(element) == "Upload":
            fields = {_name(child): child.text or "" for child in element}
            url = f"{root}/{fields.get('Key', '')}"
            begun_s = _seconds(fields.get("Initiated", ""))
            yield UnfinishedUpload(url, fields.get("UploadId", ""), begun_s)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _seconds(text: str) -> float:
    """Return the seconds since 1970 of a time such as 2026-11-30T04:00:51.08Z; 0.0 if it is odd."""
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()
    except ValueError:
        return 0.0
