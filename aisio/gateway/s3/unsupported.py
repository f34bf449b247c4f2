"""What S3 has and this gateway has not: it is refused, and never ignored. Pure.

An object that should be encrypted is not stored in the clear, and tags are not stored as an object.

Source: Amazon S3 API Reference; botocore 1.43, its list of S3's operations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aisio.gateway.protocol.refusals import Refusal

__all__ = ["OWNER_ID", "refuse_headers", "refuse_operation", "refuse_other_owner"]

OWNER_ID = "1"
"""The owner of all buckets."""

_OPERATIONS = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "encryption", "inventory"),
        *("intelligent-tiering", "legal-hold", "lifecycle", "logging", "metrics", "notification"),
        *("object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock"),
        *("renameObject", "replication", "requestPayment", "restore", "retention", "select"),
        *("session", "tagging", "torrent", "website"),
    }
)
_PARAMETERS = frozenset(
    {
        *("continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker"),
        *("list-type", "marker", "max-buckets", "max-keys", "max-parts", "max-uploads"),
        *("part-number-marker", "prefix", "start-after", "upload-id-marker", "version-id-marker"),
        *("bucket-region", "partNumber", "uploadId", "versionId", "x-id"),
    }
)
"""Query parameters that may have no value. Any other without one names an operation."""

_PARAMETER_PREFIXES = ("response-", "x-amz-")

_HEADERS = (
    *("x-amz-server-side-encryption", "x-amz-website-redirect-location", "x-amz-object-lock-"),
    *("x-amz-tagging", "x-amz-grant-", "x-amz-write-offset-bytes", "x-amz-if-match-"),
    *("x-amz-bucket-object-lock-", "x-amz-object-ownership"),
)
"""What the names of headers begin with."""

_WITHOUT_EFFECT = frozenset(
    {
        ("x-amz-bucket-object-lock-enabled", "false"),
        ("x-amz-object-ownership", "BucketOwnerEnforced"),
        ("x-amz-tagging", ""),
        ("x-amz-tagging-directive", "COPY"),
    }
)
"""Headers that ask for what is so anyway: no object has tags, and none a lock."""

_ACLS = frozenset({"private", "bucket-owner-full-control"})
"""Those that S3 accepts for buckets without ACLs, and what is so without one."""


def refuse_operation(method: str, query: Mapping[str, str], supported: Collection[str]) -> None:
    """Refuse operations that the gateway has not, new ones of S3 as well.

    Args:
        method: The method of the request.
        query: Its query.
        supported: The parameters that name operations that it has for this method.

    Raises:
        Refusal: There is one.
    """
    for name, value in query.items():
        if name in supported or name in _PARAMETERS:
            continue
        if name in _OPERATIONS or not (value or name.lower().startswith(_PARAMETER_PREFIXES)):
            raise Refusal(501, f"{method} with ?{name} is not supported", tcode="NotImplemented")


def refuse_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers of a write that ask for what the gateway does not do.

    Raises:
        Refusal: There is one.
    """
    for name, value in headers.items():
        if name.startswith(_HEADERS) and (name, value) not in _WITHOUT_EFFECT:
            raise Refusal(501, f"the header {name} is not supported", tcode="NotImplemented")
    if (acl := headers.get("x-amz-acl", "private")) not in _ACLS:
        message = f"x-amz-acl: {acl}: there are no ACLs here"
        raise Refusal(400, message, tcode="AccessControlListNotSupported")
    if (storage := headers.get("x-amz-storage-class", "STANDARD")) != "STANDARD":
        message = f"x-amz-storage-class: {storage}: there is no other class than STANDARD here"
        raise Refusal(400, message, tcode="InvalidStorageClass")


def refuse_other_owner(headers: Mapping[str, str]) -> None:
    """Refuse a request that is meant for the bucket of an account that owns none here.

    Raises:
        Refusal: It is.
    """
    for name in ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"):
        if headers.get(name, OWNER_ID) != OWNER_ID:
            message = f"{name}: the owner of all buckets here is {OWNER_ID!r}"
            raise Refusal(403, message, tcode="AccessDenied")
