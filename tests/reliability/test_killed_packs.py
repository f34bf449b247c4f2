"""`aisio pack` that is killed at random requests, and run again until it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

import aisio
from aisio.client.client import Bucket, Client
from aisio.gateway import Gateway
from aisio.testing.fault_proxy import FaultProxy, Stall

CHAINS = 2
FILES = 60
SAMPLES = 4


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of files."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(FILES):
        path = folder / f"class-{number % 3}" / f"{number:03d}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (number * 97))
    return folder


def start(folder: Path, url: str, endpoint: str, cache: Path) -> subprocess.Popen[bytes]:
    """Start to pack the folder."""
    options = ["--labels-from-folder", "--samples", str(SAMPLES), "--jobs", "3"]
    return subprocess.Popen(
        [sys.executable, "-m", "aisio", "pack", *options, str(folder), url],
        env={
            **os.environ,
            "AIS_ENDPOINT": endpoint,
            "AISIO_CACHE_DIR": str(cache),
            "PYTHONPATH": str(Path(aisio.__file__).parents[1]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def pack(folder: Path, url: str, endpoint: str, cache: Path) -> None:
    """Pack the folder, not disturbed."""
    program = start(folder, url, endpoint, cache)
    _, errors = program.communicate()
    assert program.returncode == 0, errors


def contents(bucket: Bucket) -> dict[str, bytes]:
    """Return the objects of a bucket."""
    return {info.name: bucket.object(info.name).get() for info in bucket.list()}


def killed(proxy: FaultProxy, program: subprocess.Popen[bytes]) -> bool:
    """Kill the program while a request is held, and return whether it had not ended before."""
    while program.returncode is None and not any(request.fault for request in proxy.requests):
        with suppress(subprocess.TimeoutExpired):
            program.wait(0.02)
    program.send_signal(signal.SIGKILL)
    _, errors = program.communicate()
    assert program.returncode in (0, -signal.SIGKILL), errors
    return program.returncode != 0


def test_a_pack_that_was_killed_gives_the_bytes_of_one_that_was_not(
    endpoint: str, folder: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Wherever it was killed; nothing is sent twice, and nothing is left."""
    client = Client(endpoint)
    bucket = client.bucket("packed").create()
    pack(folder, "ais://packed", endpoint, tmp_path / "whole")
    expected = contents(bucket)
    assert len(expected) == FILES // SAMPLES + 2  # the shards, classes.json and the index
    kills = 0
    for seed in range(pytestconfig.getoption("chains") or CHAINS):
        random = Random(seed)
        bucket.delete()
        bucket.create()
        cache = tmp_path / f"cache-{seed}"
        for last in (False, False, True):
            before = contents(bucket)
            with FaultProxy(endpoint) as proxy:
                if not last:
                    proxy.add(Stall(), skip=random.randrange(2 * FILES // SAMPLES + 12))
                is_killed = killed(proxy, start(folder, "ais://packed", proxy.endpoint, cache))
                sent = {r.path.rpartition("/")[2] for r in proxy.requests if r.method == "PUT"}
            kills += is_killed
            assert not sent & before.keys(), f"seed {seed}: sent again"
            if not is_killed:
                break
        assert contents(bucket) == expected, f"seed {seed}"
        assert not [path for path in cache.rglob("packed/*") if path.is_file()]
    assert kills
    client.close()


def test_a_pack_into_a_folder_leaves_nothing_of_those_that_were_killed(
    folder: Path, tmp_path: Path
) -> None:
    """The program is killed after a shard, while it writes others."""
    pack(folder, f"{tmp_path}/whole/", "", tmp_path / "cache")
    for shards in (1, 3):
        program = start(folder, f"{tmp_path}/out/", "", tmp_path / "cache")
        assert program.stdout is not None
        for _ in range(shards):
            program.stdout.readline()
        program.send_signal(signal.SIGKILL)
        program.communicate()
    (tmp_path / "out" / f".{'0' * 16}.aisio-partial").write_bytes(b"half a shard")
    pack(folder, f"{tmp_path}/out/", "", tmp_path / "cache")
    whole, out = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("whole", "out")
    )
    assert whole.keys() == out.keys()
    del whole[".aisio-index"], out[".aisio-index"]  # they have the names of their folders
    assert whole == out
