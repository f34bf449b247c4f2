"""OssBucket: signatures that a server verifies with the vendor's signer, and messages."""

from __future__ import annotations

import inspect
import runpy
import sys

import pytest

from aisio.errors import AccessError, MissingExtraError, StorageError, UnavailableError
from aisio.records import RetryPolicy
from aisio.stores import DirectSettings
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.oss_server import KEY_ID, REGION, SECRET, TOKEN, TOKEN_KEY_ID

pytest.importorskip("alibabacloud_oss_v2")

from aisio.stores.oss.bucket import OssBucket
from aisio.stores.oss.settings import open_access

FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}


@pytest.fixture
def open_bucket(server, bucket):
    """Return a function that opens the bucket with these keys."""

    def open_with(region=REGION, **keys):
        settings = DirectSettings(server.endpoint, region, keys or KEYS, retry=FAST)
        return OssBucket(open_access(settings, bucket.bucket))

    return open_with


def test_oss_32_signatures_and_tokens_are_verified(open_bucket, bucket):
    """With names and queries of all kinds; a server that checks them agrees."""
    temporary = {"access_key_id": TOKEN_KEY_ID, "access_key_secret": SECRET}
    for keys in (KEYS, temporary | {"security_token": TOKEN}):
        own = open_bucket(**keys)
        for name in ("a b+c/ü%41?d=e&f#~*'()", "日本"):
            url = bucket.with_name(name)
            headers = {"Content-Length": "1", "Content-Type": "text/plain"}
            own.open("PUT", url, headers=headers, body=b"x").close()
            assert own.call("GET", url)[1] == b"x"
        query = {"list-type": "2", "prefix": "a b+c/ü%41?d=e&f", "encoding-type": "url"}
        assert b"<KeyCount>1</KeyCount>" in own.call("GET", bucket, query)[1]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (KEYS | {"access_key_secret": "another"}, "SignatureDoesNotMatch: the secret is not"),
        (KEYS | {"access_key_id": "another"}, "InvalidAccessKeyId: OSS does not know"),
        (KEYS | {"access_key_id": TOKEN_KEY_ID}, "InvalidSecurityToken: the security token is"),
        (KEYS | {"region": "cn-other"}, "SignatureDoesNotMatch: .* or the region is not"),
        ({"skip_signature": True}, "AccessDenied: these credentials do not allow"),
    ],
)
def test_oss_32_wrong_keys_are_refused_in_words(open_bucket, bucket, keys, problem):
    """No secret is in them."""
    for method in ("GET", "HEAD"):
        with pytest.raises(AccessError, match=problem) as caught:
            open_bucket(**keys).call(method, bucket.with_name("a"))
        assert SECRET not in str(caught.value)


def test_a_message_is_sent_again_and_signed_again(open_bucket, bucket, server):
    """Where the store fails, and where it does not answer."""
    own = open_bucket()
    url = bucket.with_name("a")
    server.break_next("DELETE", status=500, code="InternalError")
    own.call("DELETE", url)
    server.break_next("DELETE", status=503, code="QpsLimitExceeded")
    own.call("DELETE", url)
    assert [entry.status for entry in server.take_log()] == [500, 204, 503, 204]
    server.break_next("DELETE", status=500, code="InternalError")
    with pytest.raises(UnavailableError, match="InternalError"):
        own.call("DELETE", url, tries_again=False)


def test_a_missing_package_is_told_with_the_extra_that_has_it(monkeypatch):
    """When a bucket is first read, and not at import."""
    monkeypatch.setitem(sys.modules, "alibabacloud_oss_v2.signer", None)
    bucket = runpy.run_path(inspect.getfile(OssBucket))["OssBucket"]
    settings = DirectSettings("http://127.0.0.1:9", REGION, KEYS)
    with pytest.raises(MissingExtraError, match=r"pip install .*alibabacloud-oss-v2>="):
        bucket(open_access(settings, "bkt")).call("GET", ObjectUrl.parse("oss://bkt/a"))


def test_a_redirect_is_followed_nowhere():
    """OSS sends none, and the signature is for this host."""
    with Server(Reply(302, headers={"Location": "http://127.0.0.1:1/"})) as web:
        settings = DirectSettings(web.url, REGION, KEYS, retry=FAST)
        own = OssBucket(open_access(settings, "bkt"))
        with pytest.raises(StorageError, match="302: redirected, which OSS never does"):
            own.call("GET", ObjectUrl.parse("oss://bkt/a"))
