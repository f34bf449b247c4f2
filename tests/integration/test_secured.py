"""A secured cluster: https with a private authority, tokens that expire, and signed redirects.

The gateway plays it: it demands a client certificate and AuthN's tokens, and its target answers
only what its proxy has redirected and signed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from aisio.client.client import Bucket, Client
from aisio.client.endpoint_state import shared_state
from aisio.errors import AccessError, StorageError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy, TlsFiles
from aisio.testing.fault_proxy import Cut, FaultProxy
from aisio.transport.parallel import plan_parts
from tests.certificates import Certificates, make_certificates
from tests.token_file import new_jwt, write_token

pytest.importorskip("aiohttp", reason="the gateway needs aiohttp")
pytest.importorskip("cryptography", reason="signatures need cryptography")

KEY = "k3y"
MIB = 1 << 20
LARGE = bytes(range(256)) * (4096 * 40)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return certificates that no system trusts."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway with all of it."""
    folder = tmp_path_factory.mktemp("secured")
    with Gateway(
        folder,
        tls_cert=certificates.server,
        tls_key=certificates.server_key,
        tls_client_ca=certificates.authority,
        jwt_key=KEY,
        signed_redirects=True,
    ) as gateway:
        yield gateway


@pytest.fixture
def environ(
    secured: Gateway,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Describe the gateway in the environment; return the file of the token."""
    file = write_token(tmp_path / "auth.token", new_jwt(KEY))
    for name, value in {
        "AIS_ENDPOINT": secured.endpoint,
        "AIS_AUTHN_TOKEN_FILE": str(file),
        "AIS_CLIENT_CA": certificates.authority,
        "AIS_CRT": certificates.client,
        "AIS_CRT_KEY": certificates.client_key,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIS_AUTHN_TOKEN", raising=False)
    return file


@pytest.fixture
def bucket(environ: Path) -> Iterator[Bucket]:
    """Return a bucket of the secured gateway with two objects."""
    bucket = Client().bucket("b").create(exist_ok=True)
    bucket.object("d/large %é").put(LARGE)
    bucket.object("small").put(b"small")
    yield bucket
    bucket.delete()
    bucket.client.close()


def test_all_of_it_works(bucket: Bucket) -> None:
    """Reads, ranges, parts, writes, listings, batches: with nothing but the environment."""
    large = bucket.object("d/large %é")
    assert large.get() == LARGE
    assert large.get(start=5, stop=9) == LARGE[5:9]
    assert large.head().size_bytes == len(LARGE)
    with large.open() as file:
        file.seek(MIB)
        assert file.read(10) == LARGE[MIB : MIB + 10]
    with bucket.object("parts").open("wb") as parts:
        for start in range(0, len(LARGE), 8 * MIB):
            parts.write(LARGE[start : start + 8 * MIB])
    assert bucket.object("parts").get() == LARGE
    bucket.object("parts").delete()
    names = [info.name for info in bucket.list()]
    assert names == ["d/large %é", "small"]
    urls = [bucket.object(name).url for name in names]
    assert [data for _, data in bucket.client.get_batch(urls)] == [LARGE, b"small"]


def read(client: Client) -> bytes:
    """Read an object in a worker."""
    data = client.object("ais://b/small").get()
    assert client.object("ais://b/d/large %é").get() == LARGE
    return data


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_read_it_too(bucket: Bucket, method: str) -> None:
    """After the parent has read; the client pickles with its certificates and the token's file."""
    assert read(bucket.client) == b"small"
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(read, (bucket.client,)) == b"small"


def test_a_command_reads_it(bucket: Bucket) -> None:
    """By the environment as well."""
    command = [sys.executable, "-m", "aisio", "cat", "ais://b/small"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"small"


def test_fsspec_reads_it(bucket: Bucket) -> None:
    """So does all that reads by fsspec."""
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aisio.integrations.fsspec")
    assert fsspec.filesystem("ais", skip_instance_cache=True).cat_file("ais://b/small") == b"small"


def test_the_webdataset_opener_reads_it(bucket: Bucket) -> None:
    """By the environment, as in a training script."""
    pytest.importorskip("webdataset")
    from aisio.integrations.webdataset import open_url

    with open_url("ais://b/small") as stream:
        assert stream.read() == b"small"


def test_an_expired_token_is_replaced_while_a_job_runs(
    secured: Gateway, bucket: Bucket, certificates: Certificates, environ: Path
) -> None:
    """The client is the one that began with the old token."""
    old = new_jwt(KEY, expires_in_s=1.0)
    write_token(environ, old)
    client = Client()
    assert client.settings.token == old
    url = f"{secured.endpoint}/v1/daemon?what=smap"
    with requests.Session() as session:
        session.trust_env, session.verify = False, certificates.authority
        session.cert = certificates.tls_pair
        session.headers["Authorization"] = f"Bearer {old}"
        while session.get(url, timeout=20).status_code != 401:
            pass
    with pytest.raises(AccessError, match="token expired") as caught:
        client.buckets()
    assert old not in str(caught.value)
    write_token(environ, new_jwt(KEY))
    assert client.buckets()
    assert client.object("ais://b/small").get() == b"small"
    client.object("ais://b/new").put(b"new")
    client.close()


def test_nobody_without_a_client_certificate_is_answered(
    secured: Gateway, certificates: Certificates
) -> None:
    """The server ends the connection."""
    client = Client(
        secured.endpoint,
        token=new_jwt(KEY),
        tls=TlsFiles(ca_file=certificates.authority),
        retry=RetryPolicy(attempts=1),
    )
    with pytest.raises(StorageError):
        client.buckets()
    client.close()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway with signed redirects alone, whose requests can be counted."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "b").mkdir()
    (folder / "b" / "large").write_bytes(LARGE)
    (folder / "b" / "small").write_bytes(LARGE[: 4 * MIB])
    with Gateway(folder, signed_redirects=True) as gateway:
        yield gateway


def object_requests(proxy: FaultProxy) -> tuple[int, int, int]:
    """Return how many requests for objects were redirected, refused, and answered with data."""
    statuses = [request.status for request in proxy.requests if "/objects/" in request.path]
    return tuple(
        sum(status in kind for status in statuses) for kind in ((301, 307), (400,), (200, 206))
    )  # type: ignore[return-value]


def test_the_parts_of_an_object_share_one_redirect(
    signed: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The first read of a process is refused once, which is logged; after that, none is."""
    with FaultProxy(signed.endpoint) as proxy, caplog.at_level(logging.INFO, "aisio"):
        client = Client(proxy.endpoint)
        assert client.object("ais://b/large").get() == LARGE
        assert object_requests(proxy) == (1, 1, 1 + len(plan_parts(len(LARGE))))
        assert client.object("ais://b/small").get() == LARGE[: 4 * MIB]
        assert client.object("ais://b/small").get(start=7, stop=8) == LARGE[7:8]
        assert object_requests(proxy) == (2, 1, 3 + len(plan_parts(len(LARGE))))
        client.close()
    told = [record for record in caplog.records if "refuse direct requests" in record.message]
    assert len(told) == 1


def test_many_objects_are_read_in_order(signed: Gateway) -> None:
    """Each with one redirect, and again without any."""
    names = [f"many/{number:02d}" for number in range(40)]
    writer = Client(signed.endpoint)
    for name in names:
        writer.bucket("b").object(name).put(name.encode() * 100)
    writer.close()
    with FaultProxy(signed.endpoint) as proxy:
        client = Client(proxy.endpoint)
        client.object(f"ais://b/{names[0]}").get()
        group = client.bucket("b").objects(names)
        for _ in range(2):
            got = [data for _, data in group.get_all(concurrency=8)]
            assert got == [name.encode() * 100 for name in names]
        assert object_requests(proxy) == (40, 1, 81)
        client.close()


def test_a_broken_response_is_resumed_by_the_same_redirect(signed: Gateway) -> None:
    """The signature is not that of a range."""
    with FaultProxy(signed.endpoint) as proxy:
        client = Client(proxy.endpoint, retry=RetryPolicy(first_wait_s=0))
        client.object("ais://b/small").get(stop=1)
        proxy.add(Cut(2 * MIB), method="GET", path="*/small")
        assert client.object("ais://b/small").get() == LARGE[: 4 * MIB]
        assert object_requests(proxy) == (1, 1, 3)
        client.close()


def test_a_read_goes_on_when_the_cluster_has_new_keys(signed: Gateway) -> None:
    """A restart ends the connection, and makes the redirect invalid."""
    client = Client(signed.endpoint, retry=RetryPolicy(first_wait_s=0.01))
    with client.object("ais://b/large").stream() as body:
        got = body.read(MIB)
        signed.kill()
        signed.start()
        while piece := body.read(MIB):
            got += piece
    assert got == LARGE
    assert client.object("ais://b/small").get(stop=5) == LARGE[:5]
    client.close()


def test_a_write_goes_on_when_the_cluster_has_new_keys(signed: Gateway) -> None:
    """Each PUT has a redirect of its own."""
    client = Client(signed.endpoint, retry=RetryPolicy(first_wait_s=0.01))
    client.object("ais://b/x").put(b"one")
    signed.restart()
    client.object("ais://b/x").put(b"two")
    assert client.object("ais://b/x").get() == b"two"
    client.close()


def worker_state(client: Client) -> tuple[bool, bytes]:
    """Return whether a worker knows that direct reads are refused, and what it reads."""
    state = shared_state(client.endpoint)
    return state.redirects.are_required, client.object("ais://b/small").get(stop=5)


def test_a_spawned_worker_does_not_find_it_out_again(signed: Gateway) -> None:
    """It learns with the client what its parent knows."""
    client = Client(signed.endpoint)
    client.object("ais://b/small").get(stop=5)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(worker_state, (client,)) == (True, LARGE[:5])
    client.close()


def test_a_cluster_that_is_open_is_read_directly(tmp_path: Path) -> None:
    """Nothing of this changes what it is asked."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"data")
    with Gateway(tmp_path) as gateway, FaultProxy(gateway.endpoint, separate_targets=True) as proxy:
        client = Client(proxy.endpoint)
        assert [client.object("ais://b/o").get() for _ in range(2)] == [b"data"] * 2
        assert object_requests(proxy) == (0, 0, 2)
        client.close()


def test_no_secret_is_in_a_pickle_file_name_or_command(environ: Path, secured: Gateway) -> None:
    """The key of the gateway goes to its process by a pipe."""
    assert secured.pid is not None
    commands = Path(f"/proc/{secured.pid}/cmdline")
    if not commands.exists():
        pytest.skip("this system has no /proc")
    assert KEY not in commands.read_text()
    assert KEY not in Path(f"/proc/{secured.pid}/environ").read_text()
    assert os.environ["AIS_AUTHN_TOKEN_FILE"] == str(environ)
