"""Which error a response becomes."""

from __future__ import annotations

import base64
import io

import pytest
import urllib3

from aisio.errors import (
    AccessError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from aisio.stores.oss.errors import oss_error


def respond(status: int, body: str = "", **headers: str) -> urllib3.HTTPResponse:
    """Return an open response."""
    return urllib3.HTTPResponse(io.BytesIO(body.encode()), headers, status, preload_content=False)


def xml(code: str, message: str = "What OSS says.", more: str = "") -> str:
    """Return the body of an error response."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, xml("NoSuchKey"), NotFoundError, "GET oss://b/a: 404 NoSuchKey: no such object"),
        (404, xml("NoSuchBucket"), NotFoundError, "no such bucket"),
        (404, "", NotFoundError, "404: no such object, or no such bucket"),
        (403, xml("AccessDenied"), AccessError, "these credentials do not allow it"),
        (403, xml("InvalidAccessKeyId"), AccessError, "needs its security token"),
        (403, xml("SecurityTokenExpired"), AccessError, "has expired: renew"),
        (403, xml("SignatureDoesNotMatch"), AccessError, "the secret is not that of this access"),
        (403, xml("RequestTimeTooSkewed"), AccessError, "clock is wrong"),
        (403, xml("InvalidObjectState"), StorageError, "restore it first"),
        (400, xml("InvalidDigest"), IntegrityError, "damaged on their way"),
        (416, xml("InvalidRange", ""), RangeError, "no such bytes"),
        (503, xml("DownloadTrafficRateLimitExceeded"), ThrottledError, "fewer requests"),
        (500, xml("InternalError"), UnavailableError, "500 InternalError: What OSS says."),
        (400, xml("InvalidArgument"), StorageError, "400 InvalidArgument: What OSS says."),
    ],
)
def test_status_and_code_choose_the_error(status, body, kind, text):
    """And say what to do; OSS's own words stand where there are no others."""
    error = oss_error(respond(status, body), "GET", "oss://b/a")
    assert type(error) is kind
    assert text in str(error)
    assert (error.url, getattr(error, "status", None)) == ("oss://b/a", status)


def test_the_error_of_a_head_is_in_a_header():
    """Its response has no body."""
    header = base64.b64encode(xml("NoSuchBucket").encode()).decode()
    error = oss_error(respond(404, **{"x-oss-err": header}), "HEAD", "oss://b/a")
    assert "no such bucket" in str(error)


def test_a_busy_store_says_how_long_to_wait():
    """As all servers do."""
    error = oss_error(respond(503, **{"Retry-After": "7"}), "GET", "oss://b/a")
    assert isinstance(error, UnavailableError)
    assert error.retry_after_s == 7.0


def test_a_bucket_elsewhere_is_a_setting():
    """OSS says at which endpoint it is."""
    more = "<Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint>"
    error = oss_error(respond(403, xml("AccessDenied", more=more)), "GET", "oss://b/a")
    assert isinstance(error, ConfigError)
    assert "another endpoint, oss-cn-beijing.aliyuncs.com: pass that" in str(error)
