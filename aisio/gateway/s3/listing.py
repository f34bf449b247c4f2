"""Listing the objects of a bucket in S3's way: plain prefixes, any delimiter, pages."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from aisio.gateway.http.object_headers import etag
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.s3.documents import document, element, group
from aisio.gateway.s3.object_headers import xml_date
from aisio.gateway.s3.requests import S3Request
from aisio.gateway.s3.unsupported import OWNER_ID
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import FileState, Record
from aisio.gateway.storage.status_reader import StatusReader
from aisio.gateway.storage.walk import DirectoryReader, Walk

MAX_KEYS = 1000
"""The most names on a page, as on S3."""

NULL_VERSION = "null"
"""The id of an object's only version, as in a bucket of S3 that does not keep former ones."""

_LAST = "\U0010ffff"
"""Sorts after whatever else follows a prefix."""


class Form(NamedTuple):
    """One of the requests by which S3 lists objects.

    Attributes:
        root: The root of the response.
        entry: The element of an object.
        marker: The query parameter of the name to start after.
    """

    root: str
    entry: str
    marker: str


LIST = Form("ListBucketResult", "Contents", "marker")
LIST_V2 = Form("ListBucketResult", "Contents", "start-after")
VERSIONS = Form("ListVersionsResult", "Version", "key-marker")
"""Every object has one version."""


@dataclass(frozen=True)
class ListRequest:
    """What to list.

    Attributes:
        prefix: What keys begin with.
        delimiter: Keys are grouped by what is before it, behind the prefix; "" for no groups.
        after: Keys after this one; a group of this name is passed over.
        max_keys: The most keys and groups to return.
        form: Which request of S3 it is: LIST, LIST_V2 or VERSIONS.
        marker: The query's start-after or marker, to repeat in the response.
        token: The query's continuation token, likewise.
        encodes: Whether names are to be percent-encoded.
        owners: Whether to name the owner of each object.
    """

    prefix: str
    delimiter: str
    after: str
    max_keys: int
    form: Form
    marker: str
    token: str
    encodes: bool
    owners: bool

    @classmethod
    def parse(cls, request: S3Request) -> ListRequest:
        """Read a request's query.

        Raises:
            Refusal: A parameter is malformed.
        """
        query = request.query
        list_type = query.get("list-type", "")
        encoding = query.get("encoding-type", "")
        if list_type not in ("", "1", "2"):
            raise Refusal(400, f"list-type={list_type!r} is not 2", tcode="InvalidArgument")
        if encoding not in ("", "url"):
            raise Refusal(400, f"encoding-type={encoding!r} is not url", tcode="InvalidArgument")
        form = VERSIONS if "versions" in query else LIST_V2 if list_type == "2" else LIST
        token = query.get("continuation-token", "") if form is LIST_V2 else ""
        marker = query.get(form.marker, "")
        return cls(
            query.get("prefix", ""),
            query.get("delimiter", ""),
            decode_token(token) if token else marker,
            request.number("max-keys", MAX_KEYS, maximum=MAX_KEYS),
            form,
            marker,
            token,
            encoding == "url",
            query.get("fetch-owner") == "true",
        )


class Item(NamedTuple):
    """A key, or a group of keys (a common prefix), which has no path."""

    name: str
    path: str | None


class S3Listing:
    """Lists the buckets of a folder.

    Args:
        folder: The served folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._directories = DirectoryReader(folder.opener, folder.skipped)

    def page(self, bucket: BucketName, wanted: ListRequest) -> bytes:
        """Return one page of a listing, as XML.

        Raises:
            Refusal: There is no such bucket.
        """
        root = self._folder.bucket_path(bucket)
        for text in (wanted.prefix, wanted.after):
            if "\0" in text:
                raise Refusal(400, "a prefix or marker holds a zero byte", tcode="InvalidArgument")
        items = list[Item]()
        is_truncated = False
        if wanted.max_keys:
            for item in self._items(root, wanted):
                if len(items) == wanted.max_keys:
                    is_truncated = True
                    break
                items.append(item)
        return self._document(bucket, wanted, items, is_truncated)

    def _items(self, root: str, wanted: ListRequest) -> Iterator[Item]:
        """Yield keys and groups in order."""
        prefix, delimiter, after = wanted.prefix, wanted.delimiter, wanted.after
        if _is_unnamable(prefix):
            return
        passed = ""  # the last group: its other keys are passed over
        if after and after.startswith(prefix) and _group(after, prefix, delimiter) == after:
            passed, after = after, after + _LAST
        while True:
            walk = Walk(self._directories, prefix, after, recursive=True)
            for entry in walk.below(root):
                common = _group(entry.name, prefix, delimiter)
                if not common:
                    yield Item(entry.name, entry.path)
                    continue
                if common == passed:
                    continue
                yield Item(common, None)
                passed, after = common, common + _LAST
                if not common.endswith("/"):
                    break
                walk.leave(common)
            else:
                return

    def _document(
        self, bucket: BucketName, wanted: ListRequest, items: list[Item], is_truncated: bool
    ) -> bytes:
        name_of: Callable[[str], str] = _percent_encode if wanted.encodes else str
        contents, groups = self._contents(bucket, wanted, items, name_of)
        parts = [
            element("Name", bucket.name),
            element("Prefix", name_of(wanted.prefix)),
            element("MaxKeys", wanted.max_keys),
            element("IsTruncated", str(is_truncated).lower()),
        ]
        if wanted.delimiter:
            parts.append(element("Delimiter", name_of(wanted.delimiter)))
        if wanted.encodes:
            parts.append(element("EncodingType", "url"))
        last = items[-1].name if is_truncated else ""
        if wanted.form is LIST_V2:
            parts.append(element("KeyCount", len(items)))
            parts += [element("StartAfter", name_of(wanted.marker))] if wanted.marker else []
            parts += [element("ContinuationToken", wanted.token)] if wanted.token else []
            parts += [element("NextContinuationToken", encode_token(last))] if last else []
        else:
            key = "Key" if wanted.form is VERSIONS else ""
            parts.append(element(f"{key}Marker", name_of(wanted.marker)))
            parts += [element(f"Next{key}Marker", name_of(last))] if last else []
            if wanted.form is VERSIONS and last:
                parts.append(element("NextVersionIdMarker", NULL_VERSION))
        return document(wanted.form.root, *parts, *contents, *groups)

    def _contents(
        self,
        bucket: BucketName,
        wanted: ListRequest,
        items: list[Item],
        name_of: Callable[[str], str],
    ) -> tuple[list[str], list[str]]:
        """Return the elements of the keys that still have a file, and those of the groups."""
        contents, groups = list[str](), list[str]()
        keys = [item.name for item in items if item.path is not None]
        records = self._folder.metadata.records_of(bucket, keys)
        with StatusReader(self._folder.opener) as statuses:
            for name, path in items:
                if path is None:
                    groups.append(group("CommonPrefixes", element("Prefix", name_of(name))))
                elif (status := statuses.read(path)) is not None:
                    contents.append(_entry(wanted, name_of(name), records.get(name), status))
        return contents, groups


def _group(name: str, prefix: str, delimiter: str) -> str:
    """Return the group that a name with the prefix belongs to; "" for none."""
    end = name.find(delimiter, len(prefix)) if delimiter else -1
    return name[: end + len(delimiter)] if end >= 0 else ""


def _entry(wanted: ListRequest, name: str, record: Record | None, status: os.stat_result) -> str:
    # As on a cluster the ETag is empty where no checksum is on record: to compute all of them would
    # read the whole bucket.
    is_current = record is not None and record.state == FileState.of(status)
    tag = f'"{etag(record, status)}"' if record is not None and is_current else ""
    is_version = wanted.form is VERSIONS
    return group(
        wanted.form.entry,
        element("Key", name),
        element("VersionId", NULL_VERSION) + element("IsLatest", "true") if is_version else "",
        element("LastModified", xml_date(status.st_mtime)),
        element("ETag", tag),
        element("Size", status.st_size),
        element("StorageClass", "STANDARD"),
        OWNER if wanted.owners or is_version else "",
    )


OWNER = group("Owner", element("ID", OWNER_ID), element("DisplayName", "aisio"))


def encode_token(name: str) -> str:
    """Return a name as a continuation token."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def decode_token(token: str) -> str:
    """Return the name in a continuation token.

    Raises:
        Refusal: It is no token of this gateway.
    """
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        message = "the continuation token is not one of this gateway"
        raise Refusal(400, message, tcode="InvalidArgument") from None


def _percent_encode(name: str) -> str:
    return quote(name, safe="/")


def _is_unnamable(prefix: str) -> bool:
    """Tell whether no key can begin so: "." and ".." are no names, nor is an empty one."""
    parts = prefix.split("/")[:-1]
    return bool(parts) and not {"", ".", ".."}.isdisjoint(parts)
