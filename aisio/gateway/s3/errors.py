"""Errors in S3's form: which code a refusal has, and the XML that says so. Pure.

Source: Amazon S3 API Reference, "Error responses". The texts are AIStore's where it has one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.documents import document, element

_CODES: Mapping[str, str] = {
    "ErrBadCksum": "BadDigest",
    "ErrBckNotFound": "NoSuchBucket",
    "ErrBucketAccessDenied": "AccessDenied",
    "ErrBucketAlreadyExists": "BucketAlreadyExists",
    "ErrMv": "InvalidRequest",
    "ErrNotFound": "NoSuchKey",
    "ErrRangeNotSatisfiable": "InvalidRange",
    "ErrRemoteBckNotFound": "NoSuchBucket",
    "ErrUnsupp": "NotImplemented",
    "errInvalidPath": "InvalidArgument",
}
"""S3's codes of AIStore's errors."""

_CODES_BY_STATUS: Mapping[int, str] = {
    400: "InvalidRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "OperationAborted",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    416: "InvalidRange",
    501: "NotImplemented",
    503: "SlowDown",
    507: "InsufficientStorage",
}


def refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Refusal:
    """Return a refusal with one of S3's error codes."""
    return Refusal(status, message, tcode=code, headers=headers or {})


def error_code(error: Refusal) -> str:
    """Return S3's code of a refusal."""
    if error.tcode:
        return _CODES.get(error.tcode, error.tcode)
    return _CODES_BY_STATUS.get(error.status, "InternalError")


def error_status(error: Refusal) -> int:
    """Return the status of a refusal. S3 has no 401: clients would look for other credentials."""
    return 403 if error.status == 401 else error.status


def error_document(error: Refusal, resource: str) -> bytes:
    """Return the XML that says why a request failed.

    Args:
        error: The refusal.
        resource: The path of the request.
    """
    return document(
        "Error",
        element("Code", error_code(error)),
        element("Message", error.message),
        element("Resource", resource),
        element("RequestId", secrets.token_hex(8).upper()),
        namespace="",
    )
