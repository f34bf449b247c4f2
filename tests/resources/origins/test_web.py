"""Files of web servers as origins: resumed on the same version only, and without credentials."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy, Timeouts
from aisio.errors import (
    AccessError,
    DigestError,
    IntegrityError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
    UrlError,
)
from aisio.gateway import Gateway
from aisio.resources.download.download import download
from aisio.resources.download.partial import PartialFile
from aisio.resources.origins.store import url_origin
from aisio.resources.origins.web import WebOrigin
from aisio.testing.fault_proxy import Cut, FaultProxy, Stall, Status, Trickle
from tests.http_server import Reply, Server
from tests.resources.certificates import make_authority
from tests.resources.ngc_server import Fault, NgcServer

MIB = 1024 * 1024
DATA = os.urandom(5 * MIB + 3)
DIGEST = hashlib.sha256(DATA).hexdigest()
PATH = "/v1/objects/data/large"
FAST = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.01)
ONCE = RetryPolicy(attempts=1)
SOON = Timeouts(connect_s=1.0, read_s=1.0)
TEN = b"0123456789"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Return the endpoint of a gateway with one object; it is a web server, too."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        Client(gateway.endpoint).bucket("data").create().object("large").put(DATA)
        yield gateway.endpoint


@pytest.fixture
def target(tmp_path):
    """Return a path in a folder of its own."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder / "file.bin"


def fetch(target, origin, digest=DIGEST):
    """Download with few attempts, and return the bytes."""
    download([origin], target, digest=digest, retry=FAST)
    return target.read_bytes()


def read(origin, start=0):
    """Return all that a reply has."""
    reply, data, piece = origin.open(start), bytearray(), memoryview(bytearray(4))
    while count := reply.readinto(piece):
        data += piece[:count]
    reply.close()
    return bytes(data)


def piece(body, size, etag='"v"', status=200, **headers):
    """Return a reply that is cut where the body is shorter than the size."""
    named = {"ETag": etag} if etag else {}
    return Reply(status, body, {"Content-Length": str(size), **named, **headers})


def rest(body, of, etag='"v"'):
    """Return the reply to a request for the end of a file."""
    span = f"bytes {of - len(body)}-{of - 1}/{of}"
    return piece(body, len(body), etag, 206, **{"Content-Range": span})


@pytest.mark.parametrize(
    "faults",
    [
        [Cut(2 * MIB)],
        [Cut(2 * MIB, reset=True), Cut(MIB)],
        [Stall(2 * MIB)],
        [Status(429), Status(503)],
        [Status(503, retry_after_s=1)],
    ],
    ids=["cut", "reset", "stall", "429 and 503", "retry after"],
)
def test_bad_days_of_a_web_server_end_in_the_right_bytes(gateway, target, faults):
    """What is cut, silent or refused is retried."""
    with FaultProxy(gateway) as proxy:
        for fault in faults:
            proxy.add(fault, method="GET", path=PATH)
        assert fetch(target, WebOrigin(f"{proxy.endpoint}{PATH}", FAST, SOON)) == DATA
        met = [request.fault for request in proxy.requests if request.fault]
    assert met == [type(fault).__name__ for fault in faults]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (403, AccessError), (503, UnavailableError), (429, ThrottledError)],
)
def test_a_refusal_without_end_is_an_error_of_its_kind(target, status, kind):
    """Retried where that may help; no file is left, and the page is not quoted."""
    with Server(*[Reply(status, b"<html>a secret</html>")] * 3) as server:
        with pytest.raises(kind, match=f"GET {server.url}/a/file: {status}") as failure:
            fetch(target, WebOrigin(f"{server.url}/a/file", FAST))
        assert len(server.requests) == (1 if status in (404, 403) else 3)
    assert "secret" not in str(failure.value)
    assert "AIS_AUTHN_TOKEN" not in str(failure.value)
    assert list(target.parent.iterdir()) == []


def test_a_server_that_is_not_there_is_unavailable():
    """As any store."""
    with pytest.raises(UnavailableError, match="GET http://127.0.0.1:9/a/file: no answer"):
        WebOrigin("http://127.0.0.1:9/a/file", FAST).open()


def test_a_line_that_trickles_counts_as_silent(gateway):
    """Less than the least rate is nothing."""
    slow = Timeouts(read_s=5.0, least_bytes_per_s=100_000, slow_s=0.2)
    with FaultProxy(gateway) as proxy:
        proxy.add(Trickle(100, 0.01), method="GET", path=PATH)
        with pytest.raises(StoreTimeoutError, match="came too slowly"):
            read(WebOrigin(f"{proxy.endpoint}{PATH}", FAST, slow))


def test_a_head_that_trickles_counts_as_silent():
    """Each byte of it would restart the read timeout."""
    head = {f"X-{number}": "x" * 1000 for number in range(90)}
    with (
        Server(Reply(200, TEN, head)) as server,
        pytest.raises(StoreTimeoutError, match="no answer in time"),
    ):
        read(WebOrigin(f"{server.url}/f", ONCE, Timeouts(slow_s=1e-9)))


def test_a_mirror_that_trickles_gives_way_to_the_next(gateway, target):
    """Bytes are handed over as they come: a full buffer would be waited for for hours."""
    slow = Timeouts(read_s=5.0, least_bytes_per_s=100_000, slow_s=0.2)
    with FaultProxy(gateway) as proxy:
        proxy.add(Trickle(100, 0.01), method="GET", path=PATH)
        mirrors = [WebOrigin(f"{where}{PATH}", ONCE, slow) for where in (proxy.endpoint, gateway)]
        download(mirrors, target, digest=DIGEST, retry=ONCE)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "http://a..b/", "http://host:99999/", "/\xff\xfe", "file:///x", "", "/a/file"],
)
def test_a_redirect_that_leads_nowhere_is_final(location):
    """It is an error of aisio, so that the next mirror is tried; asking again would not help."""
    broken = Reply(302, b"", {"Location": location})
    with Server(*[broken] * 40) as server, pytest.raises(StorageError) as failure:
        WebOrigin(f"{server.url}/a/file", FAST).open()
    assert type(failure.value) is StorageError
    assert not failure.value.given_up


def test_a_cut_response_is_resumed_on_the_same_version(target):
    """By a range, on the condition that the ETag is the one that was seen."""
    digest = hashlib.sha256(TEN).hexdigest()
    with Server(piece(TEN[:5], 10), rest(TEN[5:], 10)) as server:
        assert fetch(target, WebOrigin(f"{server.url}/a/file"), digest) == TEN
        first, second = (request.headers for request in server.requests)
    assert (first["Range"], first["If-Range"]) == (None, None)
    assert (second["Range"], second["If-Range"]) == ("bytes=5-", '"v"')
    assert second["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "then",
    [
        [piece(TEN, 10, '"w"')],
        [rest(b"?????", 10, '"w"'), piece(TEN, 10, '"w"')],
        [Reply(416), piece(TEN, 10, '"w"')],
    ],
    ids=["If-Range is heeded", "or not", "shorter"],
)
def test_a_replaced_file_starts_over(target, then):
    """However the server says so, the bytes of two versions never mix."""
    with Server(piece(b"old67", 10), *then) as server:
        digest = hashlib.sha256(TEN).hexdigest()
        assert fetch(target, WebOrigin(f"{server.url}/a/file"), digest) == TEN
        assert len(server.requests) == 1 + len(then)


@pytest.mark.parametrize("etag", ["", 'W/"v"'])
def test_without_a_strong_etag_it_starts_over(target, etag):
    """A weak one promises the same meaning, not the same bytes."""
    with Server(piece(TEN[:5], 10, etag), piece(TEN, 10, etag)) as server:
        fetch(target, WebOrigin(f"{server.url}/a/file"), hashlib.sha256(TEN).hexdigest())
        assert [request.headers["Range"] for request in server.requests] == [None, None]


def test_a_server_without_ranges_is_read_from_the_start():
    """Its response says so, and there is one request."""
    with Server(piece(TEN, 10)) as server:
        reply = WebOrigin(f"{server.url}/a/file").open(5)
        assert (reply.start, reply.size_bytes, reply.version) == (0, 10, "//v")
        reply.close()


@pytest.mark.parametrize("digest", [None, hashlib.sha256(TEN).hexdigest()])
def test_a_part_that_comes_as_200_is_joined(target, digest):
    """Its Content-Range says which part it is."""
    span = {"Content-Range": "bytes 5-9/10"}
    with Server(piece(TEN[:5], 10), piece(TEN[5:], 5, **span)) as server:
        assert fetch(target, WebOrigin(f"{server.url}/a/file", FAST), digest) == TEN
        assert server.requests[1].headers["Range"] == "bytes=5-"


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("span", ["bytes 5-9/10", "bytes 0-4/10", "bytes 0-9/11"])
def test_a_part_that_was_not_requested_is_refused(target, status, span):
    """It is not the whole file, whatever the status says."""
    part = piece(TEN[5:], 5, status=status, **{"Content-Range": span})
    with (
        Server(part, part) as server,
        pytest.raises(IntegrityError, match="requested all bytes from 0"),
    ):
        fetch(target, WebOrigin(f"{server.url}/a/file", FAST), None)
    assert list(target.parent.iterdir()) == []


def test_a_whole_file_that_comes_as_206_is_taken(target):
    """Some servers answer so to any request."""
    whole = piece(TEN, 10, status=206, **{"Content-Range": "bytes 0-9/10"})
    with Server(whole) as server:
        assert fetch(target, WebOrigin(f"{server.url}/a/file", FAST), None) == TEN


@pytest.mark.parametrize(
    "length", ["null", "-1", "9" * 5000, "1e3", "\u0661".encode().decode("latin-1")]
)
def test_an_invalid_length_is_ignored(target, length):
    """The reply is read to its end."""
    with Server(piece(TEN, length)) as server:
        assert fetch(target, WebOrigin(f"{server.url}/a/file", FAST), None) == TEN


@pytest.mark.parametrize("etag", ['"a\tb"', '"\xff"', '"a" "b"', '"'])
def test_an_etag_that_cannot_be_sent_back_is_not_used(target, etag):
    """The whole file is requested instead."""
    with Server(piece(TEN[:5], 10, etag), piece(TEN, 10, etag)) as server:
        assert fetch(target, WebOrigin(f"{server.url}/a/file", FAST), None) == TEN
        assert server.requests[1].headers["If-Range"] is None


@pytest.mark.parametrize("span", ["bytes 4-9/10", "bytes 5-8/10", "bytes 5-9/11", "", "bytes x"])
def test_other_bytes_than_were_requested_are_refused(span):
    """A shifted range would be a mixture."""
    with (
        Server(piece(TEN[5:], 5, status=206, **{"Content-Range": span})) as server,
        pytest.raises(IntegrityError, match="requested all bytes from 5"),
    ):
        WebOrigin(f"{server.url}/a/file", FAST).open(5)


def test_a_response_of_unknown_length_is_read_to_its_end(target):
    """Chunked; the digest says whether it is all."""
    chunked = Reply(200, b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    with Server(chunked) as server:
        origin = WebOrigin(f"{server.url}/a/file", FAST)
        assert fetch(target, origin, hashlib.sha256(TEN).hexdigest()) == TEN


def test_the_next_download_resumes_one_that_was_given_up(target):
    """Over processes, by the ETag."""
    digest = hashlib.sha256(TEN).hexdigest()
    with Server(piece(TEN[:5], 10), *[Reply(503)] * 3, rest(TEN[5:], 10)) as server:
        with pytest.raises(UnavailableError, match="gave up after 3 tries"):
            fetch(target, WebOrigin(f"{server.url}/a/file", FAST), digest)
        assert PartialFile(target).path.read_bytes() == TEN[:5]
        assert fetch(target, WebOrigin(f"{server.url}/a/file", FAST), digest) == TEN
        assert server.requests[-1].headers["Range"] == "bytes=5-"


def test_wrong_bytes_leave_nothing(gateway, target):
    """As from any origin."""
    with pytest.raises(DigestError):
        fetch(target, url_origin(f"{gateway}{PATH}"), "0" * 64)
    assert list(target.parent.iterdir()) == []


def test_no_credentials_are_sent_anywhere(monkeypatch, tmp_path):
    """Not ~/.netrc's, also not behind a redirect."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
    moved = Reply(302, b"", {"Location": "{server}/there"})
    with Server(moved, piece(TEN, 10)) as server:
        assert read(url_origin(f"{server.url}/a/file")) == TEN
        assert [request.target for request in server.requests] == ["/a/file", "/there"]
        assert [request.headers["Authorization"] for request in server.requests] == [None, None]


def test_a_name_is_quoted_and_never_a_query():
    """As in every URL of aisio."""
    with Server(piece(TEN, 10)) as server:
        read(url_origin(f"{server.url}/a b/ü?token=x%20#y"))
        assert server.requests[0].target == "/a%20b/%C3%BC%3Ftoken%3Dx%2520%23y"


@pytest.mark.parametrize(
    ("name", "hint"), [("x.bin?download=1", "never as a query"), ("a%20b", "write 'a b'")]
)
def test_an_address_from_a_browser_gets_a_hint(name, hint):
    """It works in a browser, and is another name for aisio."""
    with Server(Reply(404)) as server, pytest.raises(NotFoundError, match=hint) as failure:
        WebOrigin(f"{server.url}/{name}").open()
    assert "download" not in str(failure.value)


@pytest.mark.parametrize("url", ["https://user:secret@host/a", "https://host/", "https://host"])
def test_a_url_that_names_no_file_is_refused(url):
    """When it is opened, so that mirrors are tried; nothing secret is shown."""
    with pytest.raises(UrlError) as failure:
        url_origin(url).open()
    assert "secret" not in str(failure.value)


def test_a_secure_url_does_not_lead_to_an_insecure_one(tmp_path, monkeypatch):
    """A file with an https URL is downloaded by https, or not at all."""
    authority = make_authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    with NgcServer(authority) as secure, Server(piece(TEN, 10)) as plain:
        there = {"Location": f"{plain.url}/there"}
        secure.faults = [Fault("/a", 200, TEN), Fault("/a", 302, headers=there)]
        origin = WebOrigin(f"{secure.url}/a", FAST)
        assert read(origin) == TEN
        with pytest.raises(StorageError, match="leads to an address that is not https"):
            origin.open()
        assert not plain.requests


def test_web_servers_need_no_obstore(gateway, tmp_path):
    """It has no build for every Python."""
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from pathlib import Path\n"
        "from aisio.resources.download.download import download\n"
        "from aisio.resources.origins.store import url_origin\n"
        "download([url_origin(sys.argv[1])], Path(sys.argv[2]), digest=sys.argv[3])"
    )
    script = [sys.executable, "-c", code, f"{gateway}{PATH}", str(tmp_path / "file"), DIGEST]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(script, env=environ, check=True)
    assert (tmp_path / "file").read_bytes() == DATA
