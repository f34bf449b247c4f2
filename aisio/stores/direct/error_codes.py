"""Which error an error response of a cloud becomes, by its status and the code in its XML.

The codes are those of S3, which Google's XML interface shares, and of Azure. A code that is not in
the table is shown as it is, and the status chooses the class of the error.

Source:
    Amazon S3 API Reference, "Error responses"; Azure Blob Storage REST API, "Common error codes".
"""

from __future__ import annotations

from collections.abc import Mapping

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    ConflictError,
    NotFoundError,
    RangeError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["RETRY_HEAD_AS_GET", "error_for_status"]

RETRY_HEAD_AS_GET = frozenset({400, 403, 405, 501})
"""After a HEAD with one of these statuses a GET is sent. A response to HEAD has no body; that to a
GET may have a reason in it, or succeed."""

_NO_OBJECT = "no such object"
_NO_BUCKET = "no such bucket"
_WRONG_CLOCK = "this machine's clock is wrong: set it, as by NTP"
_EXPIRED = "the credentials have expired: renew them, as by `aws sso login`"
_BAD_SIGNATURE = "the secret key is not the one of this access key"
_FORBIDDEN = "these credentials do not allow it"
_REGION = "the bucket is in another region: set AWS_REGION, or DirectSettings(region=)"
_BUSY = "the store asks for fewer requests"

_CODES: Mapping[str, tuple[type[StorageError], str]] = {
    "AccessDenied": (AccessError, _FORBIDDEN),
    "AuthenticationFailed": (AccessError, _BAD_SIGNATURE),
    "AuthorizationPermissionMismatch": (AccessError, _FORBIDDEN),
    "BlobArchived": (StorageError, "it is archived: restore it to an online tier first"),
    "BlobNotFound": (NotFoundError, _NO_OBJECT),
    "ContainerNotFound": (NotFoundError, _NO_BUCKET),
    "ExpiredToken": (AccessError, _EXPIRED),
    "InvalidAccessKeyId": (
        AccessError,
        "the store does not know this access key; are key and endpoint of one store?",
    ),
    "InvalidObjectState": (
        StorageError,
        "it is archived (S3 Glacier): restore it first, as by `aws s3api restore-object`",
    ),
    "InvalidToken": (AccessError, "the session token is not valid for this access key"),
    "NoSuchBucket": (NotFoundError, _NO_BUCKET),
    "NoSuchKey": (NotFoundError, _NO_OBJECT),
    "RequestExpired": (AccessError, _WRONG_CLOCK),
    "RequestLimitExceeded": (ThrottledError, _BUSY),
    "RequestTimeTooSkewed": (AccessError, _WRONG_CLOCK),
    "RequestTimeout": (StoreTimeoutError, "the store did not get the request in time"),
    "ServerBusy": (ThrottledError, _BUSY),
    "SignatureDoesNotMatch": (AccessError, _BAD_SIGNATURE),
    "SlowDown": (ThrottledError, _BUSY),
    "TokenRefreshRequired": (AccessError, _EXPIRED),
    "TooManyRequests": (ThrottledError, _BUSY),
}
_OTHER_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)

_STATUSES: Mapping[int, tuple[type[StorageError], str]] = {
    401: (AccessError, "no or wrong credentials"),
    403: (AccessError, _FORBIDDEN),
    404: (NotFoundError, f"{_NO_OBJECT}, or {_NO_BUCKET}"),
    405: (StorageError, "the store does not do this to this object"),
    408: (StoreTimeoutError, "the store did not get the request in time"),
    409: (ConflictError, "a conflict with another operation"),
    412: (ConflictError, "it changed meanwhile"),
    416: (RangeError, "there are no such bytes in it"),
    429: (ThrottledError, _BUSY),
    # Unlike other 5xx these do not pass by themselves.
    501: (StorageError, "the store cannot do this"),
    505: (StorageError, ""),
    507: (StorageError, "the store is out of space"),
}


def error_for_status(
    status: int, code: str, *, operation: str, url: str, region: str = "", web: bool = False
) -> AisioError:
    """Return the error that an error response becomes.

    Args:
        status: HTTP status code.
        code: The code in the XML of the response; "" if there is none.
        operation: What was tried, as in "get".
        url: The object or bucket.
        region: The region of the bucket, as the response says; "" if it does not.
        web: The response is that of a web server, which has neither buckets nor credentials.

    Returns:
        A ConfigError for a wrong region, else a StorageError.
    """
    about = f"{operation} {url}: {status}{f' {code}' * bool(code)}"
    if status == 301 or code in _OTHER_REGION:
        return ConfigError(f"{about}: {_REGION}{f', to {region}' * bool(region)}", url=url)
    default = (UnavailableError, "") if status >= 500 else (StorageError, "")
    cls, meaning = _CODES.get(code) or _STATUSES.get(status, default)
    if web:
        meaning = _NO_OBJECT if status == 404 else ""
    return cls(f"{about}{f': {meaning}' * bool(meaning)}", url=url, status=status)
