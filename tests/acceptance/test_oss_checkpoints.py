"""Checkpoint streams as Alibaba's OSS connector has them: on AIStore, S3 and in local folders."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from aisio import Checkpoint, Client, ConfigError, NotFoundError
from aisio.stores import DirectSettings
from tests.moto_server import boto_client, s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway

MIB = 1024 * 1024
PART_BYTES = 5 * MIB
KEYS = {"access_key_id": "key", "secret_access_key": "the-secret"}
_numbers = count()


class Place(NamedTuple):
    """Where checkpoints are.

    Attributes:
        url: Where they are, with its final "/".
        options: How they are reached.
        uploads: Returns how many uploads are neither complete nor aborted.
    """

    url: str
    options: dict[str, Any]
    uploads: Any

    def checkpoint(self) -> Checkpoint:
        """Return what reads and writes them, in parts that all stores take."""
        return Checkpoint(part_bytes=PART_BYTES, concurrency=3, **self.options)

    def write(self, name: str, data: bytes) -> str:
        """Write an object; return its URL."""
        with self.checkpoint().writer(self.url + name, allow_empty=True) as file:
            file.write(data)
        return self.url + name

    def read(self, name: str) -> bytes:
        """Read an object."""
        with self.checkpoint().reader(self.url + name) as file:
            return file.read()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Return the endpoint of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture(params=["ais", "s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place on each kind of store."""
    bucket = f"bucket-{next(_numbers)}"
    if request.param == "file":
        return Place(f"file://{tmp_path}/", {}, lambda: len([*tmp_path.glob(".*")]))
    if request.param == "ais":
        endpoint = request.getfixturevalue("gateway")
        Client(endpoint).bucket(bucket).create()
        return Place(f"ais://{bucket}/", {"endpoint": endpoint}, lambda: 0)
    endpoint = request.getfixturevalue("moto")
    boto = boto_client(endpoint)
    boto.create_bucket(Bucket=bucket)
    direct = DirectSettings(endpoint, region="us-east-1", options=KEYS)
    return Place(
        f"s3://{bucket}/",
        {"direct": direct},
        lambda: len(boto.list_multipart_uploads(Bucket=bucket).get("Uploads", [])),
    )


def test_oss_25_torch_saves_and_loads(place: Place) -> None:
    """What torch.save writes, torch.load reads; also of more than one part."""
    state = {f"layer {number}": torch.randn(600_000) for number in range(12)}
    url = place.url + "model.pt"
    with place.checkpoint().writer(url) as file:
        torch.save(state, file)
    assert file.info is not None
    assert file.info.size_bytes is not None
    assert file.info.size_bytes > 5 * PART_BYTES
    with place.checkpoint().reader(url) as read:
        loaded = torch.load(read, weights_only=True)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert place.uploads() == 0


def test_oss_25_any_binary(place: Place) -> None:
    """Of any size, written in pieces of any size."""
    for size in (1, PART_BYTES, PART_BYTES + 1, 16 * MIB + 7):
        data = random.Random(size).randbytes(size)
        with place.checkpoint().writer(place.url + "any") as file:
            for start in range(0, size, 3_333_333):
                file.write(data[start : start + 3_333_333])
        assert place.read("any") == data


def _raise_in_block(place: Place) -> None:
    with place.checkpoint().writer(place.url + "a") as file:
        file.write(bytes(12 * MIB))
        raise KeyError("stop")


def test_oss_26_an_exception_publishes_nothing(place: Place) -> None:
    """The old object stays, until the writer is closed; what was begun is aborted."""
    place.write("a", b"old")
    with pytest.raises(KeyError):
        _raise_in_block(place)
    assert (place.read("a"), place.uploads()) == (b"old", 0)
    with place.checkpoint().writer(place.url + "a") as file:
        file.write(bytes(12 * MIB))
        assert place.read("a") == b"old"
    assert place.read("a") == bytes(12 * MIB)


KILLED = """
import sys
from aisio import Checkpoint
from aisio.stores import DirectSettings
endpoint, url = sys.argv[1:]
options = {"ais": {"endpoint": endpoint}, "s3": {"direct": DirectSettings(endpoint,
    region="us-east-1", options={"access_key_id": "key", "secret_access_key": "the-secret"})},
    "fil": {}}[url[:3].rstrip(":")]
file = Checkpoint(part_bytes=5 << 20, concurrency=3, **options).writer(url)
file.write(bytes(20 << 20))
print("written", flush=True)
sys.stdin.read()
"""


def test_oss_26_a_killed_process_publishes_nothing(place: Place) -> None:
    """Whatever it has written so far."""
    place.write("a", b"old")
    direct = place.options.get("direct")
    endpoint = place.options.get("endpoint", direct.endpoint if direct else "")
    command = [sys.executable, "-c", KILLED, endpoint, place.url + "a"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert place.read("a") == b"old"


def test_oss_26_closing(place: Place) -> None:
    """An empty object only where that is said; a closed writer refuses."""
    with pytest.raises(ConfigError, match="nothing was written"):
        place.checkpoint().writer(place.url + "empty").close()
    with pytest.raises(NotFoundError):
        place.read("empty")
    place.write("empty", b"")
    assert place.read("empty") == b""
    file = place.checkpoint().writer(place.url + "a")
    file.write(b"a")
    file.close()
    with pytest.raises(ValueError, match="write of a closed file"):
        file.write(b"b")
    assert place.read("a") == b"a"


def test_oss_27_a_reader_is_a_file(place: Place) -> None:
    """With all that io gives, and a size that is known when it is opened."""
    place.write("a", b"one\ntwo\n" + bytes(1000))
    with place.checkpoint().reader(place.url + "a") as file:
        assert (file.size_bytes, file.tell(), file.readable(), file.seekable()) == (
            1008,
            0,
            True,
            True,
        )
        assert (file.readline(), file.read(2), file.tell()) == (b"one\n", b"tw", 6)
        buffer = bytearray(2)
        assert (file.readinto(buffer), bytes(buffer)) == (2, b"o\n")
        assert (file.seek(4), file.seek(1, io.SEEK_CUR), file.seek(-3, io.SEEK_END)) == (4, 5, 1005)
        assert (file.read(-1), file.read(), file.read(5)) == (bytes(3), b"", b"")
    assert file.closed
    with pytest.raises(NotFoundError):
        place.checkpoint().reader(place.url + "missing")


def test_oss_28_seeks_change_nothing(place: Place) -> None:
    """Parts are read ahead; any order of reads gives the bytes that are there."""
    data = random.Random(5).randbytes(12 * MIB)
    place.write("a", data)
    numbers = random.Random(6)
    with place.checkpoint().reader(place.url + "a") as file:
        for _ in range(12):
            start = file.seek(numbers.randrange(len(data)))
            for size in (numbers.randrange(1, 3 * MIB), *[100_000] * 10):
                assert file.read(size) == data[start : start + size]
                start = file.tell()
        file.seek(0)
        assert file.read() == data
