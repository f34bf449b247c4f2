"""ShardSet: a set of shards is replaced as a whole, or stays."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.errors import AccessError, ConfigError, NotFoundError, StorageError
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_set import ShardSet
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import LocalStore, Store
from aisio.transport.body import Body
from aisio.transport.payload import Payload, PutData
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl
from tests.pickle_folder import contents

OLD = {"x-000000.tar": b"zero", "x-000001.tar": b"one", "x-000002.tar": b"two"}
NEW = {"x-000000.tar": b"ZERO", "x-000001.tar": b"one", "x-000003.tar": b"three"}
NOTE = "x.incomplete"


class DictStore(Store):
    """A store without checksums, which notes its writes, and fails at those that it is told."""

    def __init__(self) -> None:
        self.objects = {f"f/{name}": data for name, data in OLD.items()}
        self.writes: list[str] = []
        self.failing: dict[int, BaseException] = {}

    def _write(self, what: str) -> None:
        self.writes.append(what)
        if error := self.failing.get(len(self.writes)):
            raise error

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        names = sorted(name for name in self.objects if name.startswith(prefix.name))
        return iter([self.head(prefix.with_name(name)) for name in names])

    def head(self, url: ObjectUrl) -> ObjectInfo:
        if url.name not in self.objects:
            raise NotFoundError(f"{url}: no such object")
        return ObjectInfo(url.root, url.name, len(self.objects[url.name]))

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        info = self.head(url)
        return Body(io.BytesIO(self.objects[url.name]), info, info.size_bytes or 0)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        self._write(f"put {url.name[2:]}")
        with Payload(data) as payload:
            self.objects[url.name] = b"".join(payload.chunks())
        return self.head(url)

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        raise NotImplementedError

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        self._write(f"delete {url.name[2:]}")
        self.objects.pop(url.name, None)

    @property
    def shards(self) -> dict[str, bytes]:
        """Objects by the last part of their names."""
        return {name[2:]: data for name, data in self.objects.items()}


def replace(store: Store, folder: str, new: dict[str, bytes], workspace: Path) -> None:
    """Write shards to files and have them replace a set."""
    workspace.mkdir(exist_ok=True)
    files = {name: workspace / f"{name}.new" for name in new}
    for name, file in files.items():
        file.write_bytes(new[name])
    saved = workspace / "saved"
    saved.mkdir(exist_ok=True)
    for file in saved.iterdir():
        file.unlink()
    ShardSet(store, ObjectUrl.parse(folder), "x").replace(files, saved)


@pytest.fixture
def store() -> DictStore:
    """Return a store with the old shards in the folder f/ of the bucket b."""
    return DictStore()


def test_shards_are_replaced_under_a_note(store: DictStore, tmp_path: Path) -> None:
    """What is stored already is not written; the note goes at last."""
    replace(store, "ais://b/f/", NEW, tmp_path)
    assert store.writes == [
        f"put {NOTE}",
        "put x-000000.tar",
        "put x-000003.tar",
        "delete x-000002.tar",
        f"delete {NOTE}",
    ]
    assert store.shards == NEW
    replace(store, "ais://b/f/", NEW, tmp_path)
    assert len(store.writes) == 5


@pytest.mark.parametrize("write", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("error", [AccessError("no"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_failure_at_any_write_is_undone(
    store: DictStore, tmp_path: Path, write: int, error: BaseException
) -> None:
    """The old set is there again, and no note."""
    store.failing = {write: error}
    with pytest.raises(type(error)):
        replace(store, "ais://b/f/", NEW, tmp_path)
    assert store.shards == OLD


def test_a_set_that_cannot_be_restored_keeps_its_note(store: DictStore, tmp_path: Path) -> None:
    """Also when the next try fails and is undone; the one after completes the set."""
    store.failing = {3: AccessError("no"), 4: AccessError("no again")}
    text = (
        r"ais://b/f/x-\*\.tar: replacing .* failed \(no\), .* \(no again\): they are not complete"
    )
    with pytest.raises(StorageError, match=text):
        replace(store, "ais://b/f/", NEW, tmp_path)
    assert NOTE in store.shards
    broken = store.shards
    store.failing = {len(store.writes) + 3: AccessError("no")}
    with pytest.raises(AccessError):
        replace(store, "ais://b/f/", NEW, tmp_path)
    assert store.shards == broken
    replace(store, "ais://b/f/", NEW, tmp_path)
    assert store.shards == NEW


def test_a_note_that_was_left_is_removed(store: DictStore, tmp_path: Path) -> None:
    """Even where all shards are right."""
    store.objects[f"f/{NOTE}"] = b""
    replace(store, "ais://b/f/", OLD, tmp_path)
    assert store.shards == OLD
    assert store.writes == [f"put {NOTE}", f"delete {NOTE}"]


def test_only_numbered_shards_of_the_prefix_are_its_own(store: DictStore, tmp_path: Path) -> None:
    """Others of a similar name are not deleted."""
    others = {"f/x-1.tar": b"", "f/x-000000.tar.gz": b"", "f/x-000000-000000.tar": b"", "f/xx": b""}
    others |= {"f/x-000009.tar/x": b"", "x-000000.tar": b"", "f/y-000000.tar": b""}
    store.objects |= others
    replace(store, "ais://b/f/", NEW, tmp_path)
    assert others.items() <= store.objects.items()
    assert len(store.objects) == len(others) + len(NEW)


def test_shards_of_this_machine_are_moved(tmp_path: Path) -> None:
    """And come back from hard links if one cannot be."""
    folder = tmp_path / "f"
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    same = (folder / "x-000001.tar").stat()
    obstacle = folder / "x-000003.tar"
    obstacle.mkdir()
    with pytest.raises(IsADirectoryError):
        replace(LocalStore(), f"file://{folder}/", NEW, tmp_path / "w")
    obstacle.rmdir()
    assert contents(folder) == OLD
    replace(LocalStore(), f"file://{folder}/", NEW, tmp_path / "w")
    assert contents(folder) == NEW
    assert (folder / "x-000001.tar").stat().st_mtime_ns == same.st_mtime_ns


class DyingStore(Store):
    """Files of this machine as a store of another one; its process dies before a write.

    Args:
        die_at: Which write, counted from 1.
    """

    def __init__(self, die_at: int) -> None:
        self.files = LocalStore()
        self.left = die_at

    def _write(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        return self.files.list(prefix, start_after=start_after)

    def head(self, url: ObjectUrl) -> ObjectInfo:
        return self.files.head(url)

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        return self.files.get(url, byte_range, etl_name=etl_name)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        self._write()
        return self.files.put(url, data)

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        raise NotImplementedError

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        self._write()
        self.files.delete(url, missing_ok=missing_ok)


@pytest.mark.parametrize("die_at", [1, 2, 3, 4, 5])
def test_a_program_that_is_killed_leaves_a_whole_set_or_a_note(tmp_path: Path, die_at: int) -> None:
    """Beside a note nothing is read, and the next run completes the set."""
    folder = tmp_path / "f"
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    job = (DyingStore(die_at), f"file://{folder}/", NEW, tmp_path / "w")
    process = multiprocessing.get_context("fork").Process(target=replace, args=job)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    if die_at == 1:
        assert contents(folder) == OLD
    else:
        assert NOTE in contents(folder)
        with pytest.raises(ConfigError, match="these shards are not complete"):
            ShardFolder(folder).shards("x")
    replace(LocalStore(), f"file://{folder}/", NEW, tmp_path / "w")
    assert contents(folder) == NEW
    assert len(ShardFolder(folder).shards("x")) == 3
