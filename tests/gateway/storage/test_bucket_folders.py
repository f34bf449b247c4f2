"""Buckets as folders: never beyond the served one, and what is no bucket is told."""

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
    has_name,
    list_buckets,
    rename_bucket,
)
from aisio.gateway.storage.folder import Folder

PLAIN, INNER = BucketName("b"), BucketName("b", "ns")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return a served folder with a bucket; beside it there is another folder."""
    (tmp_path / "served" / "b" / "d").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    folder = Folder(str(tmp_path / "served"))
    folder.open()
    yield folder
    folder.close()


def test_a_namespace_that_leads_out_takes_no_bucket(folder: Folder, tmp_path: Path) -> None:
    """Neither a new one nor one that has another name, and it is not listed."""
    (tmp_path / "served" / "#ns").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "b").mkdir()
    for act in (
        lambda: create_bucket(folder, INNER),
        lambda: ensure_bucket(folder, INNER),
        lambda: rename_bucket(folder, PLAIN, BucketName("new", "ns")),
        lambda: has_name(folder, INNER),
    ):
        with pytest.raises(Refusal, match="leads out"):
            act()
    with pytest.raises(Refusal, match="does not exist"):
        destroy_bucket(folder, INNER)
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["b"]
    assert list_buckets(folder) == [PLAIN]


def test_a_namespace_comes_and_goes_with_its_buckets(folder: Folder, tmp_path: Path) -> None:
    """Its folder is made for the first and goes with the last."""
    create_bucket(folder, INNER)
    ensure_bucket(folder, INNER)
    with pytest.raises(Refusal, match="already exists"):
        rename_bucket(folder, PLAIN, INNER)
    assert list_buckets(folder) == [INNER, PLAIN]
    rename_bucket(folder, INNER, BucketName("c"))
    assert not (tmp_path / "served" / "#ns").exists()
    destroy_bucket(folder, BucketName("c"))
    assert list_buckets(folder) == [PLAIN]


def test_a_file_named_as_a_namespace_is_told(folder: Folder, tmp_path: Path) -> None:
    """It cannot hold buckets."""
    (tmp_path / "served" / "#ns").touch()
    for act in (create_bucket, has_name):
        with pytest.raises(Refusal, match="is a file"):
            act(folder, INNER)


def test_what_is_no_bucket_is_told(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files at the top, names that no bucket has, links that lead out; hidden ones are not."""
    served = tmp_path / "served"
    (served / "shard.tar").touch()
    (served / "my photos").mkdir()
    (served / "#ns").mkdir()
    (served / "#ns" / "not one").mkdir()
    (served / "out").symlink_to("../outside")
    (served / ".git").mkdir()
    assert list_buckets(folder) == [PLAIN]
    told = caplog.text
    assert "files in no bucket: the buckets are the folders at the top (shard.tar)" in told
    assert "by their names (#ns/not one, my photos)" in told
    assert "lead out of what is served (out)" in told
    assert ".git" not in told
