"""The official client reads, lists and makes archives."""

from __future__ import annotations

import io
import tarfile

import pytest
from aistore.sdk import Bucket
from aistore.sdk.archive_config import ArchiveConfig, ArchiveMode
from aistore.sdk.errors import AISError
from aistore.sdk.job import Job
from aistore.sdk.list_object_flag import ListObjectFlag

from tests.gateway.archive_data import MEMBERS, make_archive, make_tar, read_archive


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_a_member(sdk: Bucket, ending: str) -> None:
    """Whole, and in chunks."""
    sdk.object(f"s{ending}").get_writer().put_content(make_archive(ending))
    config = ArchiveConfig(archpath="c")
    assert sdk.object(f"s{ending}").get_reader(archive_config=config).read_all() == MEMBERS["c"]
    reader = sdk.object(f"s{ending}").get_reader(archive_config=config, chunk_size=1000)
    assert b"".join(reader) == MEMBERS["c"]


@pytest.mark.parametrize("mode", list(ArchiveMode))
def test_matching_members(sdk: Bucket, mode: ArchiveMode) -> None:
    """In each of its modes."""
    sdk.object("s.tar").get_writer().put_content(make_tar())
    pattern = {"regexp": "^a/1", "suffix": "1.txt", "wdskey": "a/1"}.get(mode.value, "a/1")
    config = ArchiveConfig(regex=pattern, mode=mode)
    data = sdk.object("s.tar").get_reader(archive_config=config).read_all()
    names = ["a/1.txt"] if mode is ArchiveMode.SUFFIX else ["a/1.txt", "a/1.jpg"]
    assert [name for name, _ in read_archive(data)] == names


def test_members_that_cannot_be_read(sdk: Bucket) -> None:
    """A missing member, and a range of one."""
    sdk.object("s.tar").get_writer().put_content(make_tar())
    item = sdk.object("s.tar")
    with pytest.raises(AISError) as caught:
        item.get_reader(archive_config=ArchiveConfig(archpath="none")).read_all()
    assert caught.value.status_code == 404
    config = ArchiveConfig(archpath="c")
    with pytest.raises(AISError) as caught:
        item.get_reader(archive_config=config, byte_range="bytes=0-1").read_all()
    assert caught.value.status_code == 400


@pytest.mark.parametrize("page_size", [0, 1, 2, 3])
def test_what_is_in_an_archive(sdk: Bucket, page_size: int) -> None:
    """Page by page, with and without the archive itself."""
    sdk.object("s.tar").get_writer().put_content(make_tar())
    sdk.object("t").get_writer().put_content(b"x")
    entries = sdk.list_archive("s.tar", page_size=page_size)
    assert [entry.name for entry in entries] == [f"s.tar/{name}" for name in sorted(MEMBERS)]
    assert {entry.name: entry.size for entry in entries} == {
        f"s.tar/{name}": len(data) for name, data in MEMBERS.items()
    }
    assert sdk.list_archive("s.tar", include_archive_obj=True)[0].name == "s.tar"
    every = sdk.list_all_objects(flags=[ListObjectFlag.ARCH_DIR], page_size=page_size)
    assert len(every) == 2 + len(MEMBERS)


@pytest.mark.parametrize("mime", ["tar", "tgz", "zip"])
def test_an_archive_of_a_group(sdk: Bucket, mime: str) -> None:
    """It is made, waited for, appended to, and read."""
    for name in ("a", "b", "c"):
        sdk.object(name).get_writer().put_content(name.encode())
    group = sdk.objects(obj_names=["a", "b"])
    for job_id in group.archive(f"s.{mime}", mime=mime):
        wait(sdk, job_id)
    for job_id in sdk.objects(obj_names=["c"]).archive(f"s.{mime}", mime=mime, allow_append=True):
        wait(sdk, job_id)
    data = sdk.object(f"s.{mime}").get_reader().read_all()
    assert read_archive(data) == [("a", b"a"), ("b", b"b"), ("c", b"c")]


def test_a_shard_that_it_writes(sdk: Bucket) -> None:
    """The gateway can read members of a tar that was uploaded through its file interface."""
    with (
        sdk.object("s.tar").get_writer().as_file() as file,
        tarfile.open(fileobj=file, mode="w|") as tar,
    ):
        info = tarfile.TarInfo("m")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"data"))
    config = ArchiveConfig(archpath="m")
    assert sdk.object("s.tar").get_reader(archive_config=config).read_all() == b"data"


def wait(sdk: Bucket, job_id: str) -> None:
    """Wait for a job as the official client waits for its kind; it must have succeeded."""
    assert Job(sdk.client, job_id).wait(timeout=60).success
