"""Error responses of clouds: which error each becomes, and what its text advises."""

from __future__ import annotations

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    NotFoundError,
    RangeError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.stores import DirectStore
from tests.http_server import Reply, Server
from tests.stores.direct.scripted_s3 import OBJECT, ONCE, settings

pytest.importorskip("obstore")


@pytest.mark.parametrize(
    ("status", "expected", "tries"),
    [
        (400, StorageError, ["HEAD", "GET"]),
        (401, AccessError, ["HEAD"]),
        (403, AccessError, ["HEAD", "GET"]),
        (404, NotFoundError, ["HEAD"]),
        (405, StorageError, ["HEAD", "GET"]),
        (408, StoreTimeoutError, ["HEAD"] * 3),
        (409, ConflictError, ["HEAD"]),
        (412, ConflictError, ["HEAD"]),
        (416, RangeError, ["HEAD"]),
        (429, ThrottledError, ["HEAD"] * 4),
        (500, UnavailableError, ["HEAD"] * 3),
        (501, StorageError, ["HEAD", "GET"]),
        (503, UnavailableError, ["HEAD"] * 4),
        (505, StorageError, ["HEAD"]),
        (507, StorageError, ["HEAD"]),
    ],
)
def test_the_status_chooses_the_error_and_the_tries(status, expected, tries):
    """The RetryPolicy counts the tries: obstore does not retry by itself.

    A busy store is sent one more HEAD, which asks for its Retry-After.
    """
    with Server(*[Reply(status, b"<Error><Code>Why</Code></Error>")] * 9) as server:
        policy = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)
        with pytest.raises(StorageError, match="s3://bkt/a") as caught:
            DirectStore(settings(server.url, policy)).head(OBJECT)
        assert type(caught.value) is expected
        assert [request.method for request in server.requests] == tries


@pytest.mark.parametrize("do", ["get", "put"])
@pytest.mark.parametrize(
    ("status", "code", "expected", "told"),
    [
        (400, "AuthorizationHeaderMalformed", ConfigError, "another region: set AWS_REGION"),
        (400, "ExpiredToken", AccessError, "have expired"),
        (403, "AccessDenied", AccessError, "do not allow it"),
        (403, "InvalidAccessKeyId", AccessError, "does not know this access key"),
        (403, "InvalidObjectState", StorageError, "archived"),
        (403, "RequestTimeTooSkewed", AccessError, "clock is wrong"),
        (403, "SignatureDoesNotMatch", AccessError, "secret key is not the one"),
        (403, "Whatever", AccessError, "do not allow it"),
        (404, "NoSuchBucket", NotFoundError, "no such bucket"),
        (404, "NoSuchKey", NotFoundError, "no such object"),
        (503, "SlowDown", ThrottledError, "fewer requests"),
    ],
)
def test_the_code_of_an_error_response_is_shown_with_advice(do, status, code, expected, told):
    """The status alone would send the user to look at the wrong thing."""
    reply = Reply(status, f"<Error><Code>{code}</Code><Region>eu-x</Region></Error>".encode())
    with Server(*[reply] * 9) as server:
        store = DirectStore(settings(server.url, ONCE))
        with pytest.raises(expected, match=rf"s3://bkt/a: {status} {code}.*{told}") as caught:
            store.get(OBJECT) if do == "get" else store.put(OBJECT, b"x")
    assert type(caught.value) is expected
    assert ("eu-x" in str(caught.value)) == (expected is ConfigError)


def test_a_redirect_to_another_region_names_the_setting():
    """S3 sends 301 without a Location."""
    with Server(Reply(301)) as server, pytest.raises(ConfigError, match="AWS_REGION"):
        DirectStore(settings(server.url, ONCE)).get(OBJECT)
