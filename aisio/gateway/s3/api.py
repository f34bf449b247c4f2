"""S3Api: authenticates S3 requests, and finds what handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone

from aiohttp import web

from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.http.access import Tokens
from aisio.gateway.http.responses import make_response
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.buckets import S3Buckets
from aisio.gateway.s3.documents import XML
from aisio.gateway.s3.errors import error_document, error_status
from aisio.gateway.s3.folders import S3Folders
from aisio.gateway.s3.listing import NULL_VERSION
from aisio.gateway.s3.objects import S3Objects
from aisio.gateway.s3.requests import S3Request
from aisio.gateway.s3.signatures import Keys, SignedRequest, verify
from aisio.gateway.s3.unsupported import refuse_operation, refuse_other_owner
from aisio.gateway.s3.uploads import S3Uploads
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUploads

Handler = Callable[[S3Request], Awaitable[web.StreamResponse]]
Handlers = Mapping[tuple[str, str], Handler]
"""What handles a method with one of these query parameters, or without any of them ("")."""

_METHODS = "DELETE, GET, HEAD, POST, PUT"
_FORM = "multipart/form-data"


class S3Api:
    """The S3 API of a folder.

    Args:
        folder: The served folder.
        records: Finds the records of its objects.
        uploads: Its multipart uploads.
        keys: What requests must be signed with; None leaves signatures unchecked.
        tokens: The tokens that requests must carry if there are no keys; None for none.
    """

    def __init__(
        self,
        folder: Folder,
        records: ObjectRecords,
        uploads: MultipartUploads,
        *,
        keys: Keys | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        objects = S3Objects(folder, records)
        buckets = S3Buckets(folder, objects, uploads)
        self._parts = parts = S3Uploads(folder, objects, uploads)
        self._list_buckets = buckets.list_buckets
        self._of_bucket = _of_buckets(buckets, parts)
        self._of_object = _of_objects(objects, parts)
        self._of_folder = _of_folders(S3Folders(folder))

    async def handle(self, http_request: web.BaseRequest) -> web.StreamResponse:
        """Handle a request.

        Raises:
            Refusal: It cannot be carried out.
        """
        request = S3Request.parse(http_request)
        method = http_request.method
        if method == "POST" and request.headers.get("content-type", "").startswith(_FORM):
            # It is signed in its fields.
            raise Refusal(501, "uploads by HTML forms are not supported", tcode="NotImplemented")
        self._authenticate(request)
        if method not in _METHODS.split(", "):
            raise Refusal(405, "Method Not Allowed", headers={"Allow": _METHODS})
        handlers = self._of_object if request.key_text else self._of_bucket
        operations = {name for _, name in handlers}
        supported = {name for of, name in handlers if of == method and request.bucket_text}
        refuse_operation(method, request.query, supported)
        refuse_other_owner(request.headers)
        if request.query.get("versionId", NULL_VERSION) != NULL_VERSION:
            raise Refusal(404, "former versions are not kept", tcode="NoSuchVersion")
        if not request.bucket_text:
            if method == "GET":
                return await self._list_buckets(request)
            raise _invalid()
        names = operations & request.query.keys()
        if request.key_text.endswith("/"):
            handlers = self._of_folder
        handler = handlers.get((method, min(names, default="")))
        if handler is None:
            raise _invalid()
        return await handler(request)

    def close(self) -> None:
        """Wait until the objects that are being made are complete."""
        self._parts.close()

    def error_response(self, http_request: web.BaseRequest, error: Refusal) -> web.Response:
        """Return the response of a request that is not carried out."""
        path = http_request.raw_path.partition("?")[0]
        body = b"" if http_request.method == "HEAD" else error_document(error, path)
        headers = [*error.headers.items(), ("X-Content-Type-Options", "nosniff")]
        return make_response(body, status=error_status(error), headers=headers, content_type=XML)

    def _authenticate(self, request: S3Request) -> None:
        http_request = request.request
        if self._keys is not None:
            path, _, query = http_request.raw_path.partition("?")
            signed = SignedRequest(http_request.method, path, query, request.headers)
            request.signatures = verify(signed, self._keys, datetime.now(timezone.utc))
        elif self._tokens is not None:
            sent = request.headers.get("authorization", "")
            if not sent.startswith("Bearer "):
                # As on a cluster: S3 clients have a place for it, and sign in "Authorization".
                token = request.headers.get("x-amz-security-token", "")
                sent = f"Bearer {token or request.query.get('X-Amz-Security-Token', '')}"
            try:
                self._tokens.check(sent)
            except Refusal as refusal:
                message = f"{refusal}, as a bearer token or as x-amz-security-token"
                raise Refusal(403, message, tcode="AccessDenied") from refusal


def _of_buckets(buckets: S3Buckets, parts: S3Uploads) -> Handlers:
    return {
        ("GET", ""): buckets.list_objects,
        ("GET", "location"): buckets.location,
        ("GET", "uploads"): parts.list_uploads,
        ("GET", "versioning"): buckets.versioning,
        ("GET", "versions"): buckets.list_objects,
        ("HEAD", ""): buckets.head,
        ("PUT", ""): buckets.create,
        ("PUT", "versioning"): buckets.set_versioning,
        ("POST", "delete"): buckets.delete_objects,
        ("DELETE", ""): buckets.destroy,
    }


def _of_objects(objects: S3Objects, parts: S3Uploads) -> Handlers:
    return {
        ("GET", ""): objects.get,
        ("GET", "attributes"): objects.attributes,
        ("GET", "tagging"): objects.tagging,
        ("GET", "uploadId"): parts.list_parts,
        ("HEAD", ""): objects.head,
        ("PUT", ""): objects.put,
        ("PUT", "uploadId"): parts.put_part,
        ("POST", "uploads"): parts.create,
        ("POST", "uploadId"): parts.complete,
        ("DELETE", ""): objects.delete,
        ("DELETE", "uploadId"): parts.abort,
    }


def _of_folders(folders: S3Folders) -> Handlers:
    return {
        ("GET", ""): folders.get,
        ("HEAD", ""): folders.get,
        ("PUT", ""): folders.make,
        ("DELETE", ""): folders.remove,
    }


def _invalid() -> Refusal:
    return Refusal(400, "invalid s3 request", tcode="InvalidRequest")
