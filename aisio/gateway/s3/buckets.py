"""Requests about buckets, and about many objects of one."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from aisio.gateway.http.responses import make_response
from aisio.gateway.protocol.refusals import Refusal, bucket_not_found
from aisio.gateway.protocol.targets import BucketName, check_name, parse_bucket
from aisio.gateway.s3.documents import XML, document, element, group, malformed, texts
from aisio.gateway.s3.errors import error_code
from aisio.gateway.s3.listing import (
    MAX_KEYS,
    NULL_VERSION,
    OWNER,
    ListRequest,
    S3Listing,
    decode_token,
    encode_token,
)
from aisio.gateway.s3.object_headers import xml_date
from aisio.gateway.s3.objects import S3Objects
from aisio.gateway.s3.requests import S3Request, normal_key
from aisio.gateway.s3.unsupported import refuse_headers
from aisio.gateway.storage.bucket_folders import create_bucket, destroy_bucket, list_buckets
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUploads
from aisio.gateway.storage.records import FileIdentity

REGION = "ais"
"""AIStore's region, in the header of a HEAD response."""

_MAX_BUCKETS = 10_000
_STATUS = {True: "Enabled", False: "Suspended"}


class S3Buckets:
    """The buckets of a folder, over S3's protocol.

    Args:
        folder: The served folder.
        objects: Its objects.
        uploads: Its multipart uploads.
    """

    def __init__(self, folder: Folder, objects: S3Objects, uploads: MultipartUploads) -> None:
        self._folder = folder
        self._objects = objects
        self._uploads = uploads
        self._listing = S3Listing(folder)

    async def list_buckets(self, request: S3Request) -> web.StreamResponse:
        """Send the buckets of the global namespace: S3 has no other."""
        prefix, token = (request.query.get(key, "") for key in ("prefix", "continuation-token"))
        after = decode_token(token) if token else ""
        limit = request.number("max-buckets", _MAX_BUCKETS, maximum=_MAX_BUCKETS)
        listed = sorted(
            (bucket.name, bucket)
            for bucket in list_buckets(self._folder)
            if not bucket.namespace and bucket.name.startswith(prefix) and bucket.name > after
        )
        buckets = list[str]()
        for _, bucket in listed[:limit]:
            with contextlib.suppress(Refusal):  # destroyed meanwhile
                status = self._folder.bucket_status(bucket)
                created = element("CreationDate", xml_date(status.st_ctime))
                buckets.append(group("Bucket", element("Name", bucket.name), created))
        about = [element("Prefix", prefix)] if prefix else []
        if listed[limit:] and limit:
            about.append(element("ContinuationToken", encode_token(listed[limit - 1][0])))
        body = document("ListAllMyBucketsResult", OWNER, group("Buckets", *buckets), *about)
        return make_response(body, content_type=XML)

    async def create(self, request: S3Request) -> web.StreamResponse:
        """Make a bucket; its region, if the body names one, has no meaning here."""
        refuse_headers(request.headers)
        await request.read_body()
        try:
            bucket = parse_bucket(request.bucket_text)
        except Refusal as error:
            raise Refusal(400, error.message, tcode="InvalidBucketName") from None
        await asyncio.to_thread(create_bucket, self._folder, bucket)
        return make_response(headers=[("Location", f"/{bucket.name}")])

    async def head(self, request: S3Request) -> web.StreamResponse:
        """Say that a bucket exists."""
        self._require(request.bucket)
        return make_response(headers=[("X-Amz-Bucket-Region", REGION)])

    async def destroy(self, request: S3Request) -> web.StreamResponse:
        """Remove a bucket with everything in it, as a cluster does."""
        self._folder.require_access(self._require(request.bucket), "DESTROY-BUCKET")
        await asyncio.to_thread(destroy_bucket, self._folder, request.bucket)
        await asyncio.to_thread(self._uploads.drop_bucket, request.bucket)
        return make_response()

    async def location(self, request: S3Request) -> web.StreamResponse:
        """Send an empty location: clients read it so from a cluster's response, too."""
        self._require(request.bucket)
        return make_response(document("LocationConstraint"), content_type=XML)

    async def versioning(self, request: S3Request) -> web.StreamResponse:
        """Send whether versions are counted."""
        props = self._folder.metadata.props(self._require(request.bucket))
        status = element("Status", _STATUS[props.counts_versions])
        return make_response(document("VersioningConfiguration", status), content_type=XML)

    async def set_versioning(self, request: S3Request) -> web.StreamResponse:
        """Set whether versions are counted."""
        bucket = self._require(request.bucket)
        self._folder.require_writable()
        self._folder.require_access(bucket, "PATCH")
        tree = await request.read_document("VersioningConfiguration")
        if tree.findtext("MfaDelete", "Disabled") != "Disabled":
            raise Refusal(501, "MfaDelete is not supported", tcode="NotImplemented")
        status = tree.findtext("Status")
        if status not in _STATUS.values():
            raise malformed(f"Status is {status!r}, expected Enabled or Suspended")
        enabled = b"true" if status == _STATUS[True] else b"false"
        props = self._folder.metadata.props(bucket)
        changes = b'{"versioning":{"enabled":%b}}' % enabled
        self._folder.metadata.set_props(bucket, props.updated(changes, bucket.url))
        return make_response()

    async def list_objects(self, request: S3Request) -> web.StreamResponse:
        """Send a page of the objects of a bucket."""
        wanted = ListRequest.parse(request)
        page = await asyncio.to_thread(self._listing.page, request.bucket, wanted)
        return make_response(page, content_type=XML)

    async def delete_objects(self, request: S3Request) -> web.StreamResponse:
        """Delete objects; those that do not exist count as deleted, unless they have an ETag."""
        self._folder.require_writable()
        bucket = self._require(request.bucket)
        self._folder.require_access(bucket, "DELETE-OBJECT")
        tree = await request.read_document("Delete")
        listed = tree.findall("Object")
        if not 1 <= len(listed) <= MAX_KEYS:
            raise malformed(f"{len(listed)} objects, expected 1 to {MAX_KEYS}")
        keys, tags = texts(listed, "Key"), texts(listed, "ETag")
        if not all(keys):
            raise malformed("an Object has no Key")
        if not {*texts(listed, "VersionId")} <= {"", NULL_VERSION}:
            raise Refusal(400, "former versions are not kept", tcode="NoSuchVersion")
        if any(texts(listed, "LastModifiedTime") + texts(listed, "Size")):
            raise Refusal(501, "only an ETag can be a condition", tcode="NotImplemented")
        conditions = [await self._condition(bucket, *item) for item in zip(keys, tags, strict=True)]
        quiet = tree.findtext("Quiet") == "true"
        results = await asyncio.to_thread(self._delete, bucket, keys, conditions, quiet)
        return make_response(document("DeleteResult", *results), content_type=XML)

    async def _condition(
        self, bucket: BucketName, key: str, tag: str
    ) -> FileIdentity | Refusal | None:
        """Return which file may be deleted, or why none may; None for any."""
        try:
            headers = {"if-match": tag} if tag else {}
            return await self._objects.replaceable(bucket, check_name(normal_key(key)), headers)
        except Refusal as error:
            return error

    def _delete(
        self,
        bucket: BucketName,
        keys: list[str],
        conditions: list[FileIdentity | Refusal | None],
        quiet: bool,
    ) -> list[str]:
        results = list[str]()
        for key, condition in zip(keys, conditions, strict=True):
            try:
                if isinstance(condition, Refusal):
                    raise condition
                self._folder.delete_object(bucket, normal_key(key), if_match=condition)
            except Refusal as error:
                if error.status != 404 or error is condition:
                    code, message = element("Code", error_code(error)), error.message
                    about = element("Key", key), code, element("Message", message)
                    results.append(group("Error", *about))
                    continue
            if not quiet:
                results.append(group("Deleted", element("Key", key)))
        return results

    def _require(self, bucket: BucketName) -> BucketName:
        """Return a bucket that exists.

        Raises:
            Refusal: It does not.
        """
        try:
            self._folder.bucket_path(bucket)
        except Refusal as error:
            raise bucket_not_found(bucket.name) if error.status == 404 else error from None
        return bucket
