"""Trees that are copied, moved and synchronized on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.client.client import Bucket, Client
from aisio.testing.fault_proxy import FaultProxy
from aisio.transfer import TransferOptions, copy, move, sync

COUNT = 600
"""So many objects are copied by a job of the cluster."""

RECURSIVE = TransferOptions(recursive=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of small files, and keep checksums in another."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    for number in range(COUNT):
        path = tmp_path / "files" / f"{number % 7}" / f"{number:04d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number))
    return tmp_path / "files"


@pytest.fixture
def other(client: Client, bucket: Bucket) -> Iterator[Bucket]:
    """Return another empty bucket."""
    other = client.bucket(f"{bucket.name}-other").create()
    yield other
    other.delete()


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def contents(bucket: Bucket, prefix: str = "") -> dict[str, bytes]:
    """Return the objects below a prefix."""
    infos = list(bucket.list(prefix))
    read = bucket.objects([info.name for info in infos]).get_all()
    return {info.name.removeprefix(prefix): data for info, data in read}


def test_a_tree_goes_up_across_and_down(
    client: Client, bucket: Bucket, other: Bucket, folder: Path, tmp_path: Path
) -> None:
    """By requests of our own, by a job of the cluster, and object by object inside of it."""
    up = copy(f"file://{folder}", str(bucket.url), RECURSIVE, client=client)
    by_job = copy(str(bucket.url), f"{other.url}/x/", RECURSIVE, client=client)
    by_request = copy(f"{bucket.url}/3/", f"{other.url}/y/", RECURSIVE, client=client)
    down = copy(f"{other.url}/x/", f"file://{tmp_path}/down", RECURSIVE, client=client)
    files = tree(folder)
    assert contents(bucket) == contents(other, "x/") == tree(tmp_path / "down") == files
    third = {name[2:]: data for name, data in files.items() if name.startswith("3/")}
    assert contents(other, "y/") == third
    counts = [report.copied for report in (up, by_job, by_request, down)]
    assert counts == [COUNT, COUNT, len(third), COUNT]


def test_a_move_inside_the_cluster_leaves_nothing(
    client: Client, bucket: Bucket, other: Bucket
) -> None:
    """Each object is in one place."""
    data = {f"{number}": bytes([number]) * number for number in range(20)}
    for name, content in data.items():
        bucket.object(name).put(content)
    report = move(str(bucket.url), f"{other.url}/moved", RECURSIVE, client=client)
    assert (report.copied, report.failed) == (20, 0)
    assert contents(other, "moved/") == data
    assert list(bucket.list()) == []


def test_an_unchanged_tree_makes_no_request_for_data(
    client: Client, bucket: Bucket, folder: Path
) -> None:
    """In both directions; what differs is copied, and what is too much deleted."""
    copy(f"file://{folder}", str(bucket.url), RECURSIVE, client=client)
    here, there = f"file://{folder}/", f"{bucket.url}/"
    with FaultProxy(client.endpoint) as proxy:
        near = Client(proxy.endpoint, direct=False)
        for pair in ((here, there), (there, here)):
            report = sync(*pair, TransferOptions(delete=True), client=near)
            assert (report.skipped, report.copied, report.deleted) == (COUNT, 0, 0)
        assert not [one for one in proxy.requests if "/objects/" in one.path]
        near.close()
    (folder / "3/0003.bin").write_bytes(b"changed")
    (folder / "4/0004.bin").unlink()
    report = sync(here, there, TransferOptions(delete=True), client=client)
    assert (report.skipped, report.copied, report.deleted) == (COUNT - 2, 1, 1)
    assert contents(bucket) == tree(folder)
