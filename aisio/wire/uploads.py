"""The list of unfinished multipart uploads that AIStore sends, in the form of S3.

Source:
    AIStore 5.0, GET /s3/BUCKET?uploads, by experiment: the proxy sends the uploads of all targets
    at once, and ignores prefix and max-uploads. Amazon S3 API, ListMultipartUploads.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from aisio.errors import IntegrityError
from aisio.records import UnfinishedUpload
from aisio.wire.xml_messages import child_texts, iso_seconds, parse_xml, tag_of

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
    about = f"list uploads of {root}"
    tree = parse_xml(body, "ListMultipartUploadsResult", about)
    if child_texts(tree).get("IsTruncated") == "true":
        raise IntegrityError(f"{about}: the answer has not all of them")
    for element in tree:
        if tag_of(element) == "Upload":
            fields = child_texts(element)
            url = f"{root}/{fields.get('Key', '')}"
            begun_s = iso_seconds(fields.get("Initiated", ""))
            yield UnfinishedUpload(url, fields.get("UploadId", ""), begun_s)
