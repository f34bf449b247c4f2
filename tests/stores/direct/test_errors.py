"""What obstore raises: which of aisio's errors it becomes."""

from __future__ import annotations

import socket

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    UnavailableError,
)
from aisio.records import ByteRange, RetryPolicy, Timeouts
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.resources.certificates import make_authority
from tests.stores.direct.scripted_s3 import KEYS, OBJECT, ONCE, settings
from tests.stores.direct.tls_server import TlsServer

pytest.importorskip("obstore")


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_head_that_is_refused_is_followed_by_a_get(status):
    """Some servers do not know HEAD, though they have the object."""
    found = Reply(200, b"12345", {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT"})
    with Server(*[Reply(status), found] * 2) as server:
        assert DirectStore(settings(server.url, ONCE)).head(OBJECT).size_bytes == 5
        web = ObjectUrl.parse(f"{server.url}/a")
        assert DirectStore(DirectSettings(retry=ONCE)).head(web).size_bytes == 5


def test_an_error_of_a_web_server_has_a_hint_and_the_status():
    """Programs look at the status, and people at the hint."""
    with Server(Reply(404)) as server:
        web = ObjectUrl.parse(f"{server.url}/a%20b")
        with pytest.raises(NotFoundError, match="write 'a b'") as caught:
            DirectStore(DirectSettings(retry=ONCE)).get(web)
    assert caught.value.status == 404


def test_a_web_server_without_ranges_is_told():
    """Python's own http.server is one."""
    with Server(
        *[Reply(200, b"12345", {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT"})] * 2
    ) as server:
        web = ObjectUrl.parse(f"{server.url}/a")
        with pytest.raises(StorageError, match="ignores a Range: download it"):
            DirectStore(DirectSettings(retry=ONCE)).get(web, ByteRange(1, 3))


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


def test_a_host_that_cannot_be_resolved_is_named():
    """It is often a typo."""
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
