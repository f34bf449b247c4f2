"""Copier."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from aisio.client.client import Client
from aisio.errors import IntegrityError
from aisio.records import Checksum
from aisio.stores import AisStore, DirectStore, LocalStore
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy
from aisio.transfer.copying import Copier, _CountedFile, are_one_cluster
from aisio.transfer.jobs import Action, Copy, Outcome
from aisio.transfer.local_folder import LocalFolder
from aisio.transfer.trees import open_tree
from aisio.urls import ObjectUrl

DATA = bytes(range(256)) * 8000


def job(store, source, destination):
    """Return the copy of one object."""
    tree = open_tree(store, ObjectUrl.parse(source), recursive=False)
    (entry,) = tree.entries
    url = ObjectUrl.parse(destination)
    return Copy(entry, url, f"/{url.name}" if url.provider == "file" else None)


def copy(copier: Copier, *arguments: object) -> Outcome:
    """Copy one object."""
    return copier.copy(job(*arguments))


def test_bytes_are_counted_in_every_direction(bucket, client, files, tmp_path):
    """As many as there are, with or without parts."""
    folder = files({"a": DATA})
    store, local = AisStore(client), LocalStore()
    counted: list[int] = []
    for parts_from in (1 << 30, 1 << 20):
        up = Copier(store, count=counted.append, parts_from_bytes=parts_from)
        assert copy(up, local, f"file://{folder}/a", "ais://transfers/a").size_bytes == len(DATA)
        assert sum(counted) == len(DATA)
        counted.clear()
        assert bucket.object("a").get() == DATA
        down = Copier(local, LocalFolder(tmp_path), count=counted.append)
        assert copy(down, store, "ais://transfers/a", f"file://{tmp_path}/b").error is None
        assert (tmp_path / "b").read_bytes() == DATA
        assert sum(counted) == len(DATA)
        counted.clear()


def test_the_cluster_copies_inside_of_itself(bucket, client):
    """No request for data."""
    bucket.object("a").put(DATA)
    with FaultProxy(client.endpoint) as proxy:
        near = Client(proxy.endpoint)
        store = AisStore(near)
        assert copy(Copier(store), store, "ais://transfers/a", "ais://transfers/b").error is None
        assert "GET" not in {one.method for one in proxy.requests if "/objects/" in one.path}
        near.close()
    assert bucket.object("b").get() == DATA
    assert not are_one_cluster(store, AisStore(client))
    assert not are_one_cluster(store, DirectStore())


def test_what_a_listing_says_saves_a_request(bucket, client):
    """A HEAD of the copy is left. The checksums are compared: one that is stale is asked for."""
    for name in ("d/a", "d/b"):
        bucket.object(name).put(name.encode())
    with FaultProxy(client.endpoint) as proxy:
        near = Client(proxy.endpoint)
        store, folder = AisStore(near), ObjectUrl.parse("ais://transfers/d/")
        copier = Copier(store)

        def heads() -> int:
            paths = [one.path for one in proxy.requests if one.method == "HEAD"]
            return sum("/objects/" in path for path in paths)

        entries = list(open_tree(store, folder, recursive=True).entries)
        for entry in entries:
            to = ObjectUrl.parse(f"ais://transfers/e/{entry.name}")
            assert copier.copy(Copy(entry, to)).error is None
        assert heads() == 2
        bucket.object("d/a").put(b"newer")
        assert copier.copy(Copy(entries[0], ObjectUrl.parse("ais://transfers/f"))).error is None
        assert heads() == 4
        near.close()
    assert [bucket.object(name).get() for name in ("e/a", "e/b", "f")] == [b"d/a", b"d/b", b"newer"]


class _ReplacedBehindTheCopy(AisStore):
    """A store in which another program replaces an object between its copy and its deletion."""

    heads = 0

    def head(self, url):
        """Replace it before the second time."""
        self.heads += 1
        if self.heads == 2:
            self.client.object(url).put(b"newer")
        return super().head(url)


def test_what_was_replaced_after_the_cluster_copied_it_is_copied_again(bucket, client):
    """The first copy was of the older version."""
    bucket.object("a").put(b"old")
    store = AisStore(client)
    copier = Copier(store, action=Action.MOVE)
    outcome = copy(copier, _ReplacedBehindTheCopy(client), "ais://transfers/a", "ais://transfers/b")
    assert (outcome.error, outcome.size_bytes) == (None, 5)
    assert [info.name for info in bucket.list()] == ["b"]
    assert bucket.object("b").get() == b"newer"


class _OfAnotherKind(AisStore):
    """A store whose copies have another kind of checksum, and wrong bytes."""

    def copy(self, url, to, *, listed=None):
        """Copy something else."""
        info = self.client.object(to).put(bytes(len(DATA)))
        return replace(info, checksum=Checksum("md5", "0" * 32))


def test_a_move_is_verified_where_the_kinds_of_checksums_differ(bucket, client):
    """The sizes are the same."""
    bucket.object("a").put(DATA)
    counted: list[int] = []
    copier = Copier(AisStore(client), action=Action.MOVE, count=counted.append)
    outcome = copy(copier, _OfAnotherKind(client), "ais://transfers/a", "ais://transfers/b")
    assert (outcome.error, outcome.size_bytes, sum(counted)) == (None, len(DATA), len(DATA))
    assert [info.name for info in bucket.list()] == ["b"]
    assert bucket.object("b").get() == DATA


@pytest.mark.parametrize("parts_from", [1 << 30, 1 << 20])
def test_another_store_gets_what_was_verified(endpoint, bucket, client, parts_from):
    """Damaged bytes are not stored, and the source stays."""
    bucket.object("a").put(DATA)
    with FaultProxy(endpoint) as proxy:
        far = AisStore(Client(proxy.endpoint))
        copier = Copier(AisStore(client), action=Action.MOVE, parts_from_bytes=parts_from)
        proxy.add(Corrupt(len(DATA) // 2), method="GET", path="*/transfers/a")
        outcome = copy(copier, far, "ais://transfers/a", "ais://transfers/b")
        assert isinstance(outcome.error, IntegrityError)
        assert [info.name for info in bucket.list()] == ["a"]
        proxy.add(Cut(len(DATA) // 2), method="GET", path="*/transfers/a")
        outcome = copy(copier, far, "ais://transfers/a", "ais://transfers/b")
        assert (outcome.error, outcome.size_bytes) == (None, len(DATA))
        far.client.close()
    assert [info.name for info in bucket.list()] == ["b"]
    assert bucket.object("b").get() == DATA


class _Changing:
    """Changes a file when a part of it has been counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_done = False

    def __call__(self, size_bytes: int) -> None:
        if not self.is_done:
            self.is_done = True
            with self.path.open("ab") as file:
                file.write(b"more")


@pytest.mark.parametrize("parts_from", [1 << 30, 1 << 20])
def test_a_file_that_grows_while_it_is_read_is_not_stored(bucket, client, files, parts_from):
    """The old object stays."""
    path = files({"a": DATA}) / "a"
    bucket.object("a").put(b"old")
    copier = Copier(AisStore(client), count=_Changing(path), parts_from_bytes=parts_from)
    outcome = copy(copier, LocalStore(), f"file://{path}", "ais://transfers/a")
    assert "changed while it was copied" in str(outcome.error)
    assert bucket.object("a").get() == b"old"


def test_a_file_that_is_cut_before_it_is_read_is_not_stored(files):
    """Small files are read at once: fewer bytes than the file had are an error."""
    path = files({"a": DATA}) / "a"
    info = LocalStore().head(ObjectUrl.parse(f"file://{path}"))
    with _CountedFile(info, lambda _: None) as file:
        os.truncate(path, 5)
        with pytest.raises(IntegrityError, match="changed while it was copied"):
            file.read()


def test_a_local_file_that_changes_is_not_copied_to_another(files, tmp_path):
    """Nor is the old copy replaced."""
    path = files({"a": DATA, "b": b"old"}) / "a"
    copier = Copier(LocalStore(), LocalFolder(tmp_path), count=_Changing(path))
    outcome = copy(copier, LocalStore(), f"file://{path}", f"file://{path.with_name('b')}")
    assert "changed while it was copied" in str(outcome.error)
    assert path.with_name("b").read_bytes() == b"old"
    assert sorted(one.name for one in path.parent.iterdir()) == ["a", "b"]


class _Replacing(AisStore):
    """A store in which another program replaces an object after it was read."""

    def head(self, url):
        """Replace it first."""
        self.client.object(url).put(b"newer")
        return super().head(url)


def test_what_was_replaced_after_its_copy_is_not_moved_away(bucket, client, tmp_path):
    """The copy is of the older version."""
    bucket.object("a").put(b"old")
    copier = Copier(LocalStore(), LocalFolder(tmp_path), action=Action.MOVE)
    outcome = copy(copier, _Replacing(client), "ais://transfers/a", f"file://{tmp_path}/a")
    assert "was replaced after it was copied" in str(outcome.error)
    assert bucket.object("a").get() == b"newer"


def test_a_copy_that_was_stopped_leaves_nothing(bucket, client, tmp_path):
    """As after Ctrl-C, in another thread."""
    bucket.object("a").put(DATA)
    copier = Copier(LocalStore(), LocalFolder(tmp_path))
    copier.stop()
    outcome = copy(copier, AisStore(client), "ais://transfers/a", f"file://{tmp_path}/a")
    assert "stopped" in str(outcome.error)
    assert not list(tmp_path.iterdir())
