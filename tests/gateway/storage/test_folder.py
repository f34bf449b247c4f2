"""Folder: conflicting changes, links that lead out, and files that only look unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.file_refusals import ChangedRefusal
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import NO_FILE, FileIdentity, FileState
from tests.gateway.archive_data import make_tar

BUCKET = BucketName("b")


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Return a folder with a bucket in it."""
    (tmp_path / "served" / "b").mkdir(parents=True)
    return tmp_path / "served"


@pytest.fixture
def folder(served: Path) -> Iterator[Folder]:
    """Return that folder, open."""
    folder = Folder(str(served))
    folder.open()
    yield folder
    folder.close()


def put(folder: Folder, name: str, data: bytes, if_match: FileIdentity | None = None) -> None:
    """Store an object."""
    upload = folder.begin_upload(None)
    try:
        folder.finish_upload(upload, [data], BUCKET, name, if_match=if_match)
    finally:
        upload.discard()


def read(folder: Folder, name: str) -> bytes:
    """Return an object's bytes."""
    with folder.open_object(BUCKET, name).file as file:
        return file.readall()


def test_an_upload_made_from_another_file_is_refused(folder: Folder, served: Path) -> None:
    """Whether the gateway or another program changed the object, or it was removed."""
    before = folder.identity(BUCKET, "o")
    assert before == NO_FILE
    put(folder, "o", b"first", before)
    with pytest.raises(ChangedRefusal, match="was changed meanwhile"):
        put(folder, "o", b"second", before)
    before = folder.identity(BUCKET, "o")
    (served / "b" / "o").write_bytes(b"other")
    with pytest.raises(ChangedRefusal):
        put(folder, "o", b"second", before)
    (served / "b" / "o").unlink()
    with pytest.raises(ChangedRefusal):
        put(folder, "o", b"second", before)
    assert list((served / ".aisio" / "tmp").iterdir()) == []


def test_a_link_to_itself_is_replaced_like_any_other(folder: Folder, served: Path) -> None:
    """It is not an object, so an upload that must not replace one replaces it."""
    (served / "b" / "o").symlink_to("o")
    put(folder, "o", b"one", NO_FILE)
    assert read(folder, "o") == b"one"


@pytest.mark.parametrize("target", ["../../outside", "../.aisio"])
def test_links_that_lead_out_are_not_followed(
    folder: Folder, served: Path, tmp_path: Path, target: str
) -> None:
    """What is below them cannot be read, written, deleted or seen."""
    (tmp_path / "outside").mkdir()
    (served / "b" / "d").symlink_to(target)
    (served / "b" / target / "file").write_bytes(b"precious")
    for act in (
        lambda: folder.open_object(BUCKET, "d/file"),
        lambda: put(folder, "d/file", b"x"),
        lambda: put(folder, "d/new/file", b"x"),
        lambda: folder.delete_object(BUCKET, "d/file"),
    ):
        with pytest.raises(Refusal, match="leads out of the served folder"):
            act()
    assert (served / "b" / target / "file").read_bytes() == b"precious"
    assert folder.identity(BUCKET, "d/file") == NO_FILE


def test_links_into_hidden_folders_are_served(folder: Folder, served: Path) -> None:
    """DVC and git-annex keep files by checksum in a hidden folder, and link to them."""
    (served / ".cache").mkdir()
    (served / ".cache" / "1").write_bytes(b"one")
    (served / "b" / "o").symlink_to("../.cache/1")
    assert read(folder, "o") == b"one"
    put(folder, "o", b"new")
    assert (served / ".cache" / "1").read_bytes() == b"one"


def test_deleting_a_link_keeps_its_target(folder: Folder, served: Path) -> None:
    """The name is the object; a broken link is none."""
    (served / "b" / "o").write_bytes(b"one")
    (served / "b" / "l").symlink_to("o")
    folder.delete_object(BUCKET, "l")
    assert [path.name for path in (served / "b").iterdir()] == ["o"]
    (served / "b" / "broken").symlink_to("nothing")
    with pytest.raises(Refusal, match="doesn't exist"):
        folder.delete_object(BUCKET, "broken")


def test_an_object_below_very_many_folders_can_be_put_and_deleted(
    folder: Folder, served: Path
) -> None:
    """The folders are made, and removed when they are empty."""
    name = "d/" * 1100 + "o"
    put(folder, name, b"x")
    assert read(folder, name) == b"x"
    folder.delete_object(BUCKET, name)
    assert list((served / "b").iterdir()) == []


def rewrite_with_same_mtime(path: Path, data: bytes) -> None:
    """Write a file again, in place, and restore its mtime."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_rewritten_file_of_the_same_size_and_time_is_noticed(
    folder: Folder, served: Path
) -> None:
    """The old checksum and the old archive index no longer count."""
    path, archives = served / "b" / "s.tar", IndexCache()
    put(folder, "s.tar", make_tar())
    opened = folder.open_object(BUCKET, "s.tar")
    with opened.file as file:
        archives.load(file, opened.status, ".tar")
    rewrite_with_same_mtime(path, b"\\0" * 512)
    status = path.stat()
    assert folder.metadata.get(BUCKET, "s.tar", FileState.of(status)) is None
    assert archives.cached(status, ".tar") is None


def test_a_file_that_was_only_touched_is_the_same_object(folder: Folder, served: Path) -> None:
    """A chmod, a hard link or a copy with the same bytes keeps version and custom metadata."""
    put(folder, "o", b"data")
    opened = folder.open_object(BUCKET, "o")
    state = FileState.of(opened.status)
    opened.file.close()
    record = folder.metadata.get(BUCKET, "o", state)
    assert record is not None
    folder.metadata.set_custom(BUCKET, "o", record, {"k": "v"})
    rewrite_with_same_mtime(served / "b" / "o", b"data")
    opened = folder.open_object(BUCKET, "o")
    state = FileState.of(opened.status)
    assert folder.metadata.get(BUCKET, "o", state) is None
    new_record = folder.compute_checksum(BUCKET, "o", os.dup(opened.file.fileno()), state)
    opened.file.close()
    assert (new_record.version, new_record.custom, new_record.state) == (1, {"k": "v"}, state)


def test_a_file_may_be_replaced_while_its_checksum_is_computed(
    folder: Folder, served: Path
) -> None:
    """A reader of the old file gets its checksum, which is not recorded for the new one."""
    (served / "b" / "o").write_bytes(b"old")
    opened = folder.open_object(BUCKET, "o")
    state = FileState.of(opened.status)
    put(folder, "o", b"new")
    old = folder.compute_checksum(BUCKET, "o", os.dup(opened.file.fileno()), state)
    opened.file.close()
    new = folder.metadata.get(BUCKET, "o", FileState.of((served / "b" / "o").stat()))
    assert new is not None
    assert (old.state, old.checksum == new.checksum) == (state, False)


def test_what_cannot_be_opened_is_a_config_error(served: Path) -> None:
    """It says the path and the reason; once that is mended, the folder opens."""
    (served / ".aisio").mkdir()
    (served / ".aisio" / "metadata.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match=r"metadata\.db: .*remove it to start anew"):
        Folder(str(served)).open()
    (served / ".aisio" / "metadata.db").unlink()
    folder = Folder(str(served))
    folder.open()
    folder.close()
