"""Origins: any store that aisio reads, with and without faults, and PBSS."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from itertools import count
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy, Timeouts
from aisio.errors import (
    AccessError,
    ConfigError,
    DigestError,
    IntegrityError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UrlError,
)
from aisio.gateway import Gateway
from aisio.resources.download.download import download
from aisio.resources.download.partial import PartialFile
from aisio.resources.origins.store import (
    PBSS_RETRY,
    pbss_endpoint,
    pbss_origin,
    url_origin,
)
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, Refuse, Stall, Status
from tests.http_server import Reply, Server
from tests.moto_server import KEYS, boto_client, s3_server

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")

MIB = 1024 * 1024
DATA = os.urandom(20 * MIB + 3)
DIGEST = hashlib.sha256(DATA).hexdigest()
SOON = replace(PBSS_RETRY, first_wait_s=0.0, longest_wait_s=0.01)
_numbers = count()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Return the endpoint of a gateway with one large object."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        Client(gateway.endpoint).bucket("data").create().object("large").put(DATA)
        yield gateway.endpoint


@pytest.fixture(scope="module")
def s3():
    """Return the endpoint of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def keys(monkeypatch):
    """Set credentials in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def put(s3):
    """Return a function that stores bytes by boto3, and returns their s3:// URL."""
    client = boto_client(s3)

    def put(data, key="folder/file.bin"):
        bucket = f"bucket-{next(_numbers)}"
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=data)
        return f"s3://{bucket}/{key}"

    return put


@pytest.fixture
def target(tmp_path):
    """Return a path in a folder of its own."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder / "file.bin"


def patient(endpoint):
    """Return a client that tries often, without long waits."""
    retry = RetryPolicy(total_s=30, attempts=4, first_wait_s=0)
    return Client(endpoint, retry=retry, timeouts=Timeouts(read_s=1.0))


@pytest.mark.parametrize(
    "faults",
    [
        [Cut(5 * MIB)],
        [Cut(5 * MIB, reset=True), Cut(MIB)],
        [Stall(5 * MIB)],
        [Refuse()],
        [Status(429), Status(503)],
        [Status(503, retry_after_s=1)],
        [Corrupt(5 * MIB)],
    ],
    ids=["cut", "reset", "stall", "refuse", "429 and 503", "retry after", "corrupt"],
)
def test_bad_days_of_a_cluster_end_in_the_right_bytes(gateway, target, faults):
    """What is cut, silent, refused or damaged is retried."""
    with FaultProxy(gateway) as proxy:
        for fault in faults:
            proxy.add(fault, method="GET", path="/v1/objects/data/large")
        client = patient(proxy.endpoint)
        assert download([url_origin("ais://data/large", client=client)], target, digest=DIGEST)
        client.close()
        met = [request.fault for request in proxy.requests if request.fault]
    assert met == [type(fault).__name__ for fault in faults]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(503), UnavailableError),
        (Status(403), AccessError),
        (Status(404), NotFoundError),
        (Cut(0), IntegrityError),
        (Corrupt(5 * MIB), IntegrityError),
    ],
)
def test_a_bad_day_without_end_is_an_error_of_its_kind(gateway, target, fault, kind):
    """And nothing has the name."""
    with FaultProxy(gateway) as proxy:
        proxy.add(fault, method="GET", path="/v1/objects/data/large", times=None)
        client = patient(proxy.endpoint)
        with pytest.raises(kind, match="ais://data/large"):
            download([url_origin("ais://data/large", client=client)], target, digest=DIGEST)
        client.close()
    assert not target.exists()


def test_the_next_download_resumes_one_that_was_given_up(gateway, target):
    """By a range, from the first byte that is missing."""

    def fetch(proxy):
        client = patient(proxy.endpoint)
        try:
            download([url_origin("ais://data/large", client=client)], target, digest=DIGEST)
        finally:
            client.close()

    with FaultProxy(gateway) as proxy:
        proxy.add(Cut(7 * MIB), method="GET", path="/v1/objects/data/large")
        proxy.add(Status(503), method="GET", path="/v1/objects/data/large", times=4)
        with pytest.raises(StorageError):
            fetch(proxy)
        there = PartialFile(target).path.stat().st_size
        fetch(proxy)
        last = proxy.requests[-1]
    assert 0 < there <= 7 * MIB
    assert last.headers["range"] == f"bytes={there}-"
    assert target.read_bytes() == DATA


def test_an_object_that_is_replaced_meanwhile_is_never_a_mixture(gateway, target):
    """Cut, replaced, resumed: only bytes of the new object."""
    item = Client(gateway).bucket("data").object("changing")
    item.put(DATA[::-1])
    with FaultProxy(gateway) as proxy:
        proxy.add(Cut(7 * MIB), method="GET", path="/v1/objects/data/changing")
        client = patient(proxy.endpoint)

        def replace_it(done, size):
            if done == MIB:
                item.put(DATA)

        origin = url_origin("ais://data/changing", client=client)
        got = download([origin], target, digest=None, on_progress=replace_it)
        client.close()
    assert target.read_bytes() == DATA
    assert got == DIGEST


def test_any_url_is_an_origin(gateway, target, tmp_path):
    """A local file and a web server, beside the cluster."""
    (tmp_path / "large").write_bytes(DATA)
    urls = [f"file://{tmp_path}/large", f"{gateway}/v1/objects/data/large"]
    for url in urls:
        target.unlink(missing_ok=True)
        download([url_origin(url)], target, digest=DIGEST)
        assert target.read_bytes() == DATA


@pytest.mark.parametrize("ranges", [True, False])
def test_a_web_server_with_ranges_is_resumed_and_one_without_starts_over(target, ranges):
    """A server that ignores ranges answers 200; without ETags a download is not resumed."""
    cut = Reply(
        200,
        b"01234",
        {"Content-Length": "10", "ETag": '"v"'} if ranges else {"Content-Length": "10"},
    )
    rest = Reply(206, b"56789", {"Content-Range": "bytes 5-9/10", "ETag": '"v"'})
    digest = hashlib.sha256(b"0123456789").hexdigest()
    with Server(cut, rest if ranges else Reply(200, b"0123456789")) as server:
        download([url_origin(f"{server.url}/a/file")], target, digest=digest)
        assert [request.headers["Range"] for request in server.requests] == [
            None,
            "bytes=5-" if ranges else None,
        ]
    assert target.read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ais://data/", UrlError),
        ("nfs://data/file", UrlError),
        ("ais://data/file", ConfigError),
        ("file:///nothing/here", NotFoundError),
    ],
)
def test_a_place_that_cannot_be_used_fails_alone(monkeypatch, url, kind, target, tmp_path):
    """Its error is raised when it is opened, so that the mirrors after it are tried too."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    (tmp_path / "large").write_bytes(DATA)
    bad, good = url_origin(url), url_origin(f"file://{tmp_path}/large")
    with pytest.raises(kind):
        bad.open()
    download([bad, good], target, digest=DIGEST)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "url", ["https://user:secret@host/a/file", "https://host/a/file?token=secret"]
)
def test_what_may_be_secret_in_a_url_is_not_shown(url):
    """Not in messages, not in the state beside a partial file."""
    origin = url_origin(url)
    assert origin.url == "https://host/a/file"
    assert "secret" not in repr(origin)


def test_ngc_11_pbss_gives_the_same_bytes_as_boto3(s3, keys, put, target):
    """Bucket and key from the URL; the size is known from the start, and progress is reported."""
    url = put(DATA, "deep/folder/some file+1.bin")
    told = []
    origin = pbss_origin(url, endpoint=s3, has_digest=True)
    download([origin], target, digest=DIGEST, on_progress=lambda *numbers: told.append(numbers))
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert target.read_bytes() == boto_client(s3).get_object(Bucket=bucket, Key=key)["Body"].read()
    assert {size for _, size in told} == {len(DATA)}
    assert told[-1][0] == len(DATA)


def test_ngc_11_pbss_is_tried_again_ten_times(keys, target):
    """What may pass by itself, as boto3 does it with max_attempts 10 in standard mode."""
    with Server(*[Reply(503)] * 20) as server:
        origin = pbss_origin("s3://bucket/key", endpoint=server.url, retry=SOON)
        with pytest.raises(StorageError):
            download([origin], target, digest=DIGEST)
        assert [request.method for request in server.requests].count("GET") == 11


def test_pbss_is_resumed_by_a_range(s3, keys, put, target):
    """By the ETag it is known to be the same object."""
    url = put(DATA)

    def stop(done, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download([pbss_origin(url, endpoint=s3)], target, digest=DIGEST, on_progress=stop)
    there = PartialFile(target).path.stat().st_size
    told = []
    download(
        [pbss_origin(url, endpoint=s3)],
        target,
        digest=DIGEST,
        on_progress=lambda done, size: told.append(done),
    )
    assert there < told[0] <= there + MIB
    assert target.read_bytes() == DATA


def test_a_replaced_object_of_pbss_starts_over(s3, keys, put, target):
    """Another ETag: nothing of the old bytes stays."""
    url = put(DATA[::-1])

    def stop(done, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download([pbss_origin(url, endpoint=s3)], target, digest=DIGEST, on_progress=stop)
    bucket, _, key = url.removeprefix("s3://").partition("/")
    boto_client(s3).put_object(Bucket=bucket, Key=key, Body=DATA)
    download([pbss_origin(url, endpoint=s3)], target, digest=DIGEST)
    assert target.read_bytes() == DATA


def test_ngc_12_the_endpoint_is_the_argument_else_the_variable_else_nvidias(
    s3, keys, put, target, monkeypatch
):
    """Read when it is needed; never through a cluster, whatever AIS_ENDPOINT is."""
    monkeypatch.delenv("AISIO_PBSS_ENDPOINT", raising=False)
    assert pbss_endpoint() == "https://pbss.s8k.io"
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", s3)
    url = put(DATA)
    download([pbss_origin(url)], target, digest=DIGEST)
    target.unlink()
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", "http://127.0.0.1:9")
    download([pbss_origin(url, endpoint=s3)], target, digest=DIGEST)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("text", ["pbss.example.com", "https://ho st", "https://host:0"])
def test_a_wrong_endpoint_of_pbss_names_its_variable(monkeypatch, text):
    """Before any request."""
    monkeypatch.setenv("AISIO_PBSS_ENDPOINT", text)
    with pytest.raises(ConfigError, match="AISIO_PBSS_ENDPOINT=.* is no base URL"):
        pbss_endpoint()


def test_pbss_without_credentials_is_refused_at_once(s3, target, monkeypatch, tmp_path):
    """Without a request for a machine's role, which takes seconds; the error says what to set."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AccessError, match="AWS_ACCESS_KEY_ID"):
        download([pbss_origin("s3://bucket/key", endpoint=s3)], target, digest=DIGEST)


def test_pbss_finds_credentials_in_awss_own_files(s3, put, target, monkeypatch, tmp_path):
    """As boto3 does."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text("[team]\naws_access_key_id = key\naws_secret_access_key = the-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "team")
    download([pbss_origin(put(DATA), endpoint=s3)], target, digest=DIGEST)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("find", [pbss_origin, url_origin])
def test_awss_own_files_that_cannot_be_used_cost_one_origin(
    s3, target, monkeypatch, tmp_path, find
):
    """The next mirror is tried; without one, the error names the profile."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "absent")
    (tmp_path / "large").write_bytes(DATA)
    origin = find("s3://bucket/key", endpoint=s3)
    with pytest.raises(AccessError, match="unset AWS_PROFILE, which is 'absent'"):
        download([origin], target, digest=DIGEST)
    download([origin, url_origin(f"file://{tmp_path}/large")], target, digest=DIGEST)
    assert target.read_bytes() == DATA


def test_a_missing_object_of_pbss_is_not_found(s3, keys, put, target):
    """A key that is not there is a NotFoundError that names it."""
    url = f"{put(b'x')}-not"
    with pytest.raises(NotFoundError, match=url):
        download([pbss_origin(url, endpoint=s3)], target, digest=None)


def test_ngc_15_wrong_bytes_in_pbss_leave_nothing(s3, keys, put, target):
    """A ValueError with expected and got."""
    with pytest.raises(DigestError, match=f"expected {DIGEST} but got"):
        download([pbss_origin(put(b"wrong"), endpoint=s3)], target, digest=DIGEST)
    assert list(Path(target).parent.iterdir()) == []
