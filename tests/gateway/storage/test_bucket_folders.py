"""Buckets as folders: never outside the served one, and what is not a bucket is logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.bucket_folders import (
    create_bucket,
    destroy_bucket,
    ensure_bucket,
    is_name_taken,
    list_buckets,
    rename_bucket,
)
from aisio.gateway.storage.folder import Folder

PLAIN, INNER = BucketName("b"), BucketName("b", "ns")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return a served folder with a bucket; there is another folder next to it."""
    (tmp_path / "served" / "b" / "d").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    folder = Folder(str(tmp_path / "served"))
    folder.open()
    yield folder
    folder.close()


def test_a_namespace_outside_the_served_folder_takes_no_bucket(
    folder: Folder, tmp_path: Path
) -> None:
    """Neither a new nor a renamed one; its buckets are not listed."""
    (tmp_path / "served" / "#ns").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "b").mkdir()
    for act in (
        lambda: create_bucket(folder, INNER),
        lambda: ensure_bucket(folder, INNER),
        lambda: rename_bucket(folder, PLAIN, BucketName("new", "ns")),
        lambda: is_name_taken(folder, INNER),
    ):
        with pytest.raises(Refusal, match="leads out"):
            act()
    with pytest.raises(Refusal, match="does not exist"):
        destroy_bucket(folder, INNER)
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["b"]
    assert list_buckets(folder) == [PLAIN]


def test_a_namespace_comes_and_goes_with_its_buckets(folder: Folder, tmp_path: Path) -> None:
    """Its folder is made for the first bucket and removed with the last."""
    create_bucket(folder, INNER)
    ensure_bucket(folder, INNER)
    with pytest.raises(Refusal, match="already exists"):
        rename_bucket(folder, PLAIN, INNER)
    assert list_buckets(folder) == [INNER, PLAIN]
    rename_bucket(folder, INNER, BucketName("c"))
    assert not (tmp_path / "served" / "#ns").exists()
    destroy_bucket(folder, BucketName("c"))
    assert list_buckets(folder) == [PLAIN]


def test_a_file_with_the_name_of_a_namespace_is_refused(folder: Folder, tmp_path: Path) -> None:
    """It cannot hold buckets."""
    (tmp_path / "served" / "#ns").touch()
    for act in (create_bucket, is_name_taken):
        with pytest.raises(Refusal, match="is a file"):
            act(folder, INNER)


def test_what_is_not_a_bucket_is_logged(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files at the top, invalid names, links that lead out; hidden names are not."""
    served = tmp_path / "served"
    (served / "shard.tar").touch()
    (served / "my photos").mkdir()
    (served / "#ns").mkdir()
    (served / "#ns" / "not one").mkdir()
    (served / "out").symlink_to("../outside")
    (served / ".git").mkdir()
    assert list_buckets(folder) == [PLAIN]
    text = caplog.text
    assert "files in no bucket: the buckets are the folders at the top (shard.tar)" in text
    assert "by their names (#ns/not one, my photos)" in text
    assert "lead out of what is served (out)" in text
    assert ".git" not in text
