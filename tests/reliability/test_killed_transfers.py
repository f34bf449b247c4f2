"""`aisio sync` and `aisio mv` that are killed at random requests, and run again until they end."""

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
FILES = 24
LARGE_BYTES = 3 << 20


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Bucket]:
    """Return an empty bucket."""
    client = Client(endpoint)
    bucket = client.bucket("killed").create()
    yield bucket
    bucket.delete()
    client.close()


def data() -> dict[str, bytes]:
    """Return small files and some large ones, in folders."""
    small = {f"{number % 3}/{number:02d}": bytes([number]) * number * 97 for number in range(FILES)}
    return small | {f"large/{number}": bytes([number]) * LARGE_BYTES for number in range(3)}


def older() -> dict[str, bytes]:
    """Return what is at the destination before: the same, other bytes, and more."""
    same = {name: data()[name] for name in ("0/00", "0/03", "1/04")}
    return same | {"1/01": b"other", "large/1": b"", "old/1": b"x", "2": b"a file, not a folder"}


def start(*words: str, endpoint: str, cache: Path) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "aisio", *words],
        env={
            **os.environ,
            "AIS_ENDPOINT": endpoint,
            "AISIO_CACHE_DIR": str(cache),
            "PYTHONPATH": str(Path(aisio.__file__).parents[1]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def killed(proxy: FaultProxy, program: subprocess.Popen[bytes]) -> bool:
    """Kill the program while a request is held, and return whether it had not ended before."""
    while program.returncode is None and not any(request.fault for request in proxy.requests):
        with suppress(subprocess.TimeoutExpired):
            program.wait(0.02)
    program.send_signal(signal.SIGKILL)
    _, errors = program.communicate()
    assert program.returncode in (0, -signal.SIGKILL), errors
    return program.returncode != 0


def run_chain(random: Random, most: int, endpoint: str, cache: Path, *words: str) -> int:
    """Run a command, killed twice if it lasts; return how often it was killed."""
    kills = 0
    for last in (False, False, True):
        with FaultProxy(endpoint) as proxy:
            if not last:
                proxy.add(Stall(random.randrange(1000)), skip=random.randrange(most))
            is_killed = killed(proxy, start(*words, endpoint=proxy.endpoint, cache=cache))
        kills += is_killed
        if not is_killed:
            break
    return kills


def contents(bucket: Bucket) -> dict[str, bytes]:
    """Return the objects of a bucket."""
    return {info.name: bucket.object(info.name).get() for info in bucket.list()}


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a folder of files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def fill(bucket: Bucket, files: dict[str, bytes]) -> None:
    """Store objects, and nothing else."""
    bucket.delete()
    bucket.create()
    for name, content in files.items():
        bucket.object(name).put(content)


def seeds(config: pytest.Config) -> range:
    """Return the seeds of the chains."""
    return range(config.getoption("chains") or CHAINS)


def test_a_sync_up_that_was_killed_ends_with_the_same_tree(
    endpoint: str, bucket: Bucket, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Wherever it was killed."""
    folder, kills = write(tmp_path / "files", data()), 0
    for seed in seeds(pytestconfig):
        fill(bucket, {name: content for name, content in older().items() if name != "2"})
        words = ("sync", "--delete", str(folder), "ais://killed")
        kills += run_chain(Random(seed), 2 * FILES, endpoint, tmp_path / f"cache-{seed}", *words)
        assert contents(bucket) == data(), f"seed {seed}"
    assert kills


def test_a_sync_down_that_was_killed_ends_with_the_same_tree(
    endpoint: str, bucket: Bucket, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """No temporary file is left, and a file gives way to a folder."""
    fill(bucket, data())
    kills = 0
    for seed in seeds(pytestconfig):
        folder = write(tmp_path / f"out-{seed}", older())
        words = ("sync", "--delete", "ais://killed", str(folder))
        kills += run_chain(Random(seed), FILES + 3, endpoint, tmp_path / f"cache-{seed}", *words)
        assert tree(folder) == data(), f"seed {seed}"
    assert kills


def test_a_move_that_was_killed_loses_nothing(
    endpoint: str, bucket: Bucket, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """At no time is an object in neither place, and in the end all are moved."""
    kills = 0
    for seed in seeds(pytestconfig):
        fill(bucket, data())
        folder, cache = tmp_path / f"out-{seed}", tmp_path / f"cache-{seed}"
        random = Random(seed)
        for last in (False, False, True):
            with FaultProxy(endpoint) as proxy:
                if not last:
                    proxy.add(Stall(random.randrange(1000)), skip=random.randrange(3 * FILES))
                words = ("mv", "-r", "ais://killed", str(folder))
                is_killed = killed(proxy, start(*words, endpoint=proxy.endpoint, cache=cache))
            kills += is_killed
            partial = {n: d for n, d in tree(folder).items() if n.endswith(".aisio-partial")}
            there = {n: d for n, d in tree(folder).items() if n not in partial}
            assert there | contents(bucket) == data(), f"seed {seed}"
            if not is_killed:
                break
        assert tree(folder) == data(), f"seed {seed}"
        assert contents(bucket) == {}
    assert kills
