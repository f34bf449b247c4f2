"""What is built on seekable files works on objects, and asks for little."""

from __future__ import annotations

import io
import os
import random
import tarfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from aisio.client.client import Bucket, Client
from aisio.errors import IntegrityError
from aisio.testing.fault_proxy import FaultProxy

MIB = 1024 * 1024
LARGE = random.Random(3).randbytes(8 * MIB)
MEMBERS = {f"folder/{number:02}.bin": LARGE[number * 50_000 :][:150_000] for number in range(20)}


def make_zip() -> bytes:
    """Return an archive of incompressible members, some stored and some deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, data) in enumerate(MEMBERS.items()):
            archive.writestr(name, data, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
    return buffer.getvalue()


def make_tar() -> bytes:
    """Return the same members as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(client: Client) -> Iterator[Bucket]:
    """Return a bucket with what is read here."""
    bucket = client.bucket(f"aisio-test-{uuid.uuid4().hex[:12]}").create()
    for name, data in {"large": LARGE, "zip": make_zip(), "tar": make_tar()}.items():
        bucket.object(name).put(data)
    yield bucket
    bucket.delete(missing_ok=True)


@contextmanager
def watched(
    endpoint: str, bucket: Bucket, name: str
) -> Iterator[tuple[io.BufferedReader, Callable[[], tuple[int, int]]]]:
    """Give an open object, and what counts its connections and its GETs with data so far."""
    with FaultProxy(endpoint) as proxy:
        client = Client(proxy.endpoint)

        def spent() -> tuple[int, int]:
            asked = [seen for seen in proxy.requests if seen.path.endswith(f"/{name}")]
            data = [seen for seen in asked if seen.method == "GET" and seen.status != 301]
            return proxy.connections - before, len(data)

        item = client.bucket(bucket.name).object(name)
        item.head()
        before = proxy.connections
        with item.open() as file:
            yield file, spent
        client.close()


def test_fifty_jumps_take_fifty_requests_on_one_connection(files: Bucket, endpoint: str) -> None:
    """Short replies are read out, and so leave their connection."""
    draw = random.Random(1)
    with watched(endpoint, files, "large") as (file, spent):
        for _ in range(50):
            at = draw.randrange(len(LARGE))
            file.seek(at)
            assert file.read(100) == LARGE[at : at + 100]
        connections, requests = spent()
    assert connections <= 1
    assert requests <= 50


def test_a_file_read_from_its_start_takes_one_request(files: Bucket, endpoint: str) -> None:
    """In whatever pieces."""
    with watched(endpoint, files, "large") as (file, spent):
        assert b"".join(iter(lambda: file.read(10_000), b"")) == LARGE
        assert spent()[1] == 1


def test_a_tail_and_a_head_take_two_requests(files: Bucket, endpoint: str) -> None:
    """As formats with an index at their end are opened."""
    with watched(endpoint, files, "large") as (file, spent):
        file.seek(-8, io.SEEK_END)
        assert file.read() == LARGE[-8:]
        file.seek(-30_000, io.SEEK_END)
        assert file.read(20_000) == LARGE[-30_000:-10_000]
        file.seek(0)
        assert file.read(50_000) == LARGE[:50_000]
        connections, requests = spent()
    assert connections <= 1
    assert requests == 2


def test_a_zip_is_listed_and_read(files: Bucket, endpoint: str) -> None:
    """Its index costs one request, a member of 150 KB at most three."""
    with watched(endpoint, files, "zip") as (file, spent), zipfile.ZipFile(file) as archive:
        assert archive.namelist() == list(MEMBERS)
        assert spent()[1] == 1
        names = list(MEMBERS)
        random.Random(2).shuffle(names)
        for name in names:
            assert archive.read(name) == MEMBERS[name]
        connections, requests = spent()
        assert archive.testzip() is None
    assert connections <= 2
    assert requests <= 1 + 3 * len(MEMBERS)


def test_two_members_of_a_zip_are_read_in_turn(files: Bucket, endpoint: str) -> None:
    """What was read for the one is still there when the other had its turn."""
    first, second = "folder/02.bin", "folder/15.bin"
    with watched(endpoint, files, "zip") as (file, spent), zipfile.ZipFile(file) as archive:
        with archive.open(first) as one, archive.open(second) as two:
            got = [(one.read(4096), two.read(4096)) for _ in range(40)]
        assert b"".join(piece for piece, _ in got) == MEMBERS[first]
        assert b"".join(piece for _, piece in got) == MEMBERS[second]
        connections, requests = spent()
    assert connections <= 2
    assert requests <= 10


def test_a_tar_is_listed_and_read(files: Bucket, endpoint: str) -> None:
    """Python's own reader seeks from header to header; then a few members, back and forth."""
    with watched(endpoint, files, "tar") as (file, spent), tarfile.open(fileobj=file) as archive:
        assert archive.getnames() == list(MEMBERS)
        assert spent()[1] == 1
        for name in ("folder/11.bin", "folder/03.bin", "folder/19.bin"):
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == MEMBERS[name]
        assert spent()[1] <= 7


def test_lines_are_those_of_the_object(bucket: Bucket) -> None:
    """Text mode, iteration and peek come with the buffer."""
    text = "".join(f"line {number} ä\n" for number in range(100_000))
    bucket.object("text").put(text.encode())
    with bucket.object("text").open() as file, io.TextIOWrapper(file, "utf-8") as lines:
        assert file.peek(5)[:5] == b"line "
        assert list(lines) == text.splitlines(keepends=True)


def test_an_object_replaced_between_two_ranges_is_an_error(bucket: Bucket) -> None:
    """Never a mixture: what was read of the old one stays, what follows is refused."""
    item = bucket.object("o")
    item.put(LARGE)
    with item.open() as file:
        file.seek(MIB)
        assert file.read(100) == LARGE[MIB : MIB + 100]
        item.put(LARGE[::-1])
        file.seek(5 * MIB)
        with pytest.raises(IntegrityError, match="the object was replaced while it was open"):
            file.read(100)


@pytest.mark.parametrize("at", [0, MIB], ids=["stream", "windows"])
def test_a_forked_child_reads_on_beside_its_parent(files: Bucket, at: int) -> None:
    """Each from where the reader stood, on connections of its own."""
    with files.object("large").open() as file:
        file.seek(at)
        position = at + sum(len(file.read(10_000)) for _ in range(70))
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                for step in range(30):
                    begin = position + 100_000 * step
                    assert file.read(100_000) == LARGE[begin:][:100_000]
                    os.write(writing, b".")
                file.close()
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        for step in range(30):
            assert os.read(reading, 1) == b"."
            begin = position + 100_000 * step
            assert file.read(100_000) == LARGE[begin:][:100_000]
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert file.read() == LARGE[position + 3_000_000 :]
        os.close(reading)


def test_a_bucket_may_send_checksums_of_ranges(bucket: Bucket) -> None:
    """They differ from range to range, and from the object's, though nothing was replaced."""
    item = bucket.object("o")
    item.put(LARGE)
    props = {"action": "set-bprops", "value": {"checksum": {"enable_read_range": True}}}
    url = f"{bucket.client.endpoint}/v1/buckets/{bucket.name}?provider=ais"
    if requests.patch(url, json=props, timeout=20).status_code == 501:
        pytest.skip("the gateway's buckets cannot be told")
    with item.open() as file:
        for start in (5 * MIB, MIB, 7 * MIB):
            file.seek(start)
            assert file.read(1000) == LARGE[start : start + 1000]
    buffer = bytearray(len(LARGE))
    item.get(into=buffer)
    assert buffer == LARGE
