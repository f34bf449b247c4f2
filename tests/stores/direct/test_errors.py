"""What obstore raises: which of aisio's errors it becomes, after how many tries."""

from __future__ import annotations

import socket

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
from aisio.records import RetryPolicy, Timeouts, TlsFiles
from aisio.stores import DirectSettings, DirectStore
from aisio.stores.direct.retry_after import RetryAfterProbe
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.resources.certificates import make_authority
from tests.stores.direct.tls_server import TlsServer

pytest.importorskip("obstore")

OBJECT = ObjectUrl.parse("s3://bkt/a")
ONCE = RetryPolicy(attempts=1)
KEYS = {"access_key_id": "k", "secret_access_key": "the-secret", "session_token": "the-token"}


def settings(url: str, policy: RetryPolicy, **more) -> DirectSettings:
    """Return settings that take a server on loopback for S3."""
    return DirectSettings(url, "us-east-1", KEYS, retry=policy, **more)


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
    """The RetryPolicy counts tries, and there is no loop of obstore's in them.

    A busy store is asked once, by one HEAD more, how long it wants to be left alone.
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
def test_the_code_of_a_refusal_is_told_with_what_helps(do, status, code, expected, told):
    """The status alone would send the user to look at the wrong thing."""
    reply = Reply(status, f"<Error><Code>{code}</Code><Region>eu-x</Region></Error>".encode())
    with Server(*[reply] * 9) as server:
        store = DirectStore(settings(server.url, ONCE))
        with pytest.raises(expected, match=rf"s3://bkt/a: {status} {code}.*{told}") as caught:
            store.get(OBJECT) if do == "get" else store.put(OBJECT, b"x")
    assert type(caught.value) is expected
    assert ("eu-x" in str(caught.value)) == (expected is ConfigError)


def test_a_redirect_to_another_region_names_the_setting():
    """S3 says 301 without a Location."""
    with Server(Reply(301)) as server, pytest.raises(ConfigError, match="AWS_REGION"):
        DirectStore(settings(server.url, ONCE)).get(OBJECT)


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_head_that_is_refused_is_asked_again_by_a_get(status):
    """Some servers do not know HEAD; the object is there all the same."""
    found = Reply(200, b"12345", {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT"})
    with Server(*[Reply(status), found] * 2) as server:
        assert DirectStore(settings(server.url, ONCE)).head(OBJECT).size_bytes == 5
        web = ObjectUrl.parse(f"{server.url}/a")
        assert DirectStore(DirectSettings(retry=ONCE)).head(web).size_bytes == 5


def test_retry_after_is_heeded():
    """Longer than the policy would wait: with a budget that is shorter, the store gives up."""
    busy = Reply(503, b"", {"Retry-After": "7200"})
    with Server(*[busy] * 2) as server:
        with pytest.raises(UnavailableError, match="503") as caught:
            DirectStore(settings(server.url, RetryPolicy(attempts=9, total_s=60))).get(OBJECT)
        assert caught.value.retry_after_s == 7200
        assert [request.method for request in server.requests] == ["GET", "HEAD"]
        assert server.requests[1].headers["Authorization"] is None


def test_a_signature_in_a_query_is_not_sent_again():
    """Azure's SAS tokens are credentials that stand in the URL."""
    with Server(Reply(503, b"", {"Retry-After": "7"})) as server:
        assert RetryAfterProbe(TlsFiles()).wait_s(f"{server.url}/c/o?sv=1&sig=secret") == 7
        assert server.requests[0].target == "/c/o"


def test_the_question_how_long_to_wait_is_not_held_by_a_slow_head():
    """The store is read again after the policy's own wait."""
    head = {f"X-{number}": "x" * 1000 for number in range(90)}
    with Server(Reply(503, b"", {"Retry-After": "7", **head})) as server:
        assert RetryAfterProbe(TlsFiles(), head_s=1e-9).wait_s(f"{server.url}/o") is None


def test_a_web_server_s_refusal_keeps_its_status_beside_a_hint():
    """Programs look at the status, and people at the hint."""
    with Server(Reply(404)) as server:
        web = ObjectUrl.parse(f"{server.url}/a%20b")
        with pytest.raises(NotFoundError, match="write 'a b'") as caught:
            DirectStore(DirectSettings(retry=ONCE)).get(web)
    assert caught.value.status == 404


def test_who_asks_for_no_wait_is_not_asked_again():
    """It costs one request in the life of a store."""
    busy = Reply(503)
    with Server(*[busy] * 9) as server:
        store = DirectStore(settings(server.url, ONCE))
        for _ in range(3):
            with pytest.raises(UnavailableError):
                store.get(OBJECT)
        assert [request.method for request in server.requests] == ["GET", "HEAD", "GET", "GET"]


def test_a_listing_that_breaks_off_goes_on():
    """Behind the last name that came, within the budget of the settings."""
    rows = "<Contents><Key>{0}</Key><Size>1</Size>{1}</Contents>"
    date = "<LastModified>2026-11-20T22:00:00.000Z</LastModified>"
    page = "<ListBucketResult><IsTruncated>{}</IsTruncated>{}{}</ListBucketResult>"
    first = page.format("true", "<NextContinuationToken>t</NextContinuationToken>", rows)
    pages = [
        Reply(200, text.format(name, date).encode())
        for text, name in ((first, "a"), (page.format("false", "", rows), "b"))
    ]
    with Server(pages[0], Reply(500), pages[0], pages[1], pages[1]) as server:
        policy = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)
        listed = DirectStore(settings(server.url, policy)).list(ObjectUrl.parse("s3://bkt"))
        assert [info.name for info in listed] == ["a", "b"]


def test_a_certificate_that_is_not_trusted_is_final(tmp_path):
    """It does not pass by itself; the error names the host and the settings."""
    with TlsServer(make_authority(tmp_path)) as server:
        policy = RetryPolicy(attempts=5, first_wait_s=0.0, longest_wait_s=0.0)
        host = server.url.removeprefix("https://")
        with pytest.raises(AccessError, match=rf"TLS with {host} failed: .*ca_file"):
            DirectStore(settings(server.url, policy)).get(OBJECT)
    assert server.handshakes == 1


def test_a_server_without_tls_is_told_from_one_that_is_not_trusted():
    """As where https:// was meant to be http://."""
    with Server() as server:
        store = DirectStore(settings(server.url.replace("http:", "https:"), ONCE))
        with pytest.raises(AccessError, match="does not speak TLS"):
            store.get(OBJECT)


def test_a_name_that_cannot_be_resolved_is_told():
    """With the host, as a typo is likely."""
    store = DirectStore(settings("http://no-such-host.invalid:9000", ONCE))
    with pytest.raises(UnavailableError, match=r"no-such-host.invalid:9000: its name cannot"):
        store.get(OBJECT)


def test_no_credential_is_shown():
    """S3 quotes the signed headers back, the session token among them."""
    body = b"<Error><Code>SignatureDoesNotMatch</Code><R>x-amz-security-token:the-token</R></Error>"
    with Server(Reply(403, body)) as server:
        store = DirectStore(settings(server.url, RetryPolicy(attempts=1)))
        with pytest.raises(AccessError) as caught:
            store.get(OBJECT)
    told = f"{caught.value} {caught.value.__cause__} {store!r} {store.settings!r}"
    assert caught.value.__suppress_context__
    assert "the-token" not in told
    assert "the-secret" not in told


def test_a_refused_connection_is_unavailable():
    """Nothing listens there any more."""
    with Server() as server:
        pass
    with pytest.raises(UnavailableError, match=r"no answer from 127.0.0.1:\d+: Connection refused"):
        DirectStore(settings(server.url, RetryPolicy(attempts=1))).head(OBJECT)


def test_silence_is_a_timeout(silent):
    """The read timeout is the settings'."""
    patience = Timeouts(read_s=0.05)
    store = DirectStore(settings(silent, RetryPolicy(attempts=1), timeouts=patience))
    with pytest.raises(StoreTimeoutError, match="no answer"):
        store.head(OBJECT)


@pytest.fixture
def silent():
    """Return the address of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_unknown_option_is_named():
    """A typo among the options is an error of settings."""
    store = DirectStore(DirectSettings(options={**KEYS, "acess_key": "x"}))
    with pytest.raises(ConfigError, match="acess_key"):
        store.head(OBJECT)
