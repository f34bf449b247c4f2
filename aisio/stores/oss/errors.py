"""Which error an error response of OSS becomes, by its status and the code in its XML.

Source:
    OSS documentation, "OSS error codes", "HTTP status codes".
"""

from __future__ import annotations

from collections.abc import Mapping

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.response_body import OpenResponse, drain_and_release, error_text
from aisio.wire.oss import ErrorMessage, parse_error

__all__ = ["oss_error"]

_FORBIDDEN = "these credentials do not allow it"
_BUSY = "OSS asks for fewer requests"
_EXPIRED = "the security token has expired: renew the credentials"
_FOREIGN = "the security token is not that of this access key"

_CODES: Mapping[str, tuple[type[StorageError], str]] = {
    "AccessDenied": (AccessError, _FORBIDDEN),
    "BadDigest": (IntegrityError, "the bytes were damaged on their way: put it again"),
    "DownloadTrafficRateLimitExceeded": (ThrottledError, _BUSY),
    "FileAlreadyExists": (ConflictError, "it exists, and must not be overwritten"),
    "InvalidAccessKeyId": (
        AccessError,
        "OSS does not know this access key; a temporary one needs its security token",
    ),
    "InvalidDigest": (IntegrityError, "the bytes were damaged on their way: put it again"),
    "InvalidObjectState": (StorageError, "it is archived: restore it first"),
    "InvalidSecurityToken": (AccessError, _FOREIGN),
    "NoSuchBucket": (NotFoundError, "no such bucket"),
    "NoSuchKey": (NotFoundError, "no such object"),
    "NoSuchUpload": (NotFoundError, "no such upload: it was completed or aborted"),
    "QpsLimitExceeded": (ThrottledError, _BUSY),
    "RequestTimeTooSkewed": (
        AccessError,
        "this machine's clock is wrong: set it, as by NTP",
    ),
    "RequestTimeout": (StoreTimeoutError, "OSS did not get the request in time"),
    "SecurityTokenExpired": (AccessError, _EXPIRED),
    "SignatureDoesNotMatch": (
        AccessError,
        "the secret is not that of this access key, or the region is not that of the endpoint",
    ),
    "UploadTrafficRateLimitExceeded": (ThrottledError, _BUSY),
}

_STATUSES: Mapping[int, tuple[type[StorageError], str]] = {
    401: (AccessError, "no or wrong credentials"),
    403: (AccessError, _FORBIDDEN),
    404: (NotFoundError, "no such object, or no such bucket"),
    408: (StoreTimeoutError, "OSS did not get the request in time"),
    409: (ConflictError, "a conflict with another operation"),
    412: (ConflictError, "it changed meanwhile"),
    416: (RangeError, "there are no such bytes in it"),
    429: (ThrottledError, _BUSY),
    501: (StorageError, "OSS cannot do this"),
}


def oss_error(response: OpenResponse, method: str, about: str) -> AisioError:
    """Return the error for an open response of status 400 or above, and close the response.

    Args:
        response: The response.
        method: HTTP method of the request.
        about: URL of the object or bucket.

    Returns:
        A ConfigError where the bucket is at another endpoint, else a StorageError.
    """
    headers, status = response.headers, response.status
    error = parse_error(error_text(response).encode(), headers)
    drain_and_release(response)
    what = f"{method} {about}: {status}{f' {error.code}' * bool(error.code)}"
    if error.endpoint and error.code in ("AccessDenied", "InvalidBucketName", "TemporaryRedirect"):
        return ConfigError(
            f"{what}: the bucket is at another endpoint, {error.endpoint}: pass that, or set "
            f"OSS_ENDPOINT",
            url=about,
        )
    cls, meaning = _meaning(status, error)
    return cls(
        f"{what}{f': {meaning}' * bool(meaning)}",
        url=about,
        status=status,
        retry_after_s=retry_after_s(headers),
    )


def _meaning(status: int, error: ErrorMessage) -> tuple[type[StorageError], str]:
    """Return the class of an error, and what to say; OSS's own words where there are no others."""
    if error.code in _CODES:
        return _CODES[error.code]
    default = (UnavailableError if status >= 500 else StorageError, "")
    cls, meaning = _STATUSES.get(status, default)
    return cls, error.message or meaning
