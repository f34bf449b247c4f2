"""LocalStore: the store contract, and what is special about folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import AccessError, ConfigError, NotFoundError, StorageError
from aisio.stores import LocalStore
from aisio.stores.local import write_file
from aisio.testing.store_contract import StoreContract
from aisio.transport.payload import Payload
from aisio.urls import ObjectUrl


class TestLocalStore(StoreContract):
    """The contract, over a temporary folder."""

    @pytest.fixture
    def store(self):
        return LocalStore()

    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "root").mkdir()
        return ObjectUrl.parse(f"file://{tmp_path}/root/")

    def put_raw(self, url, data):
        path = Path("/", url.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get_raw(self, url):
        return Path("/", url.name).read_bytes()


@pytest.fixture
def folder(tmp_path):
    """Return the URL of an empty folder."""
    return ObjectUrl.parse(f"file://{tmp_path}/")


def test_listing_a_missing_folder_says_so(folder):
    """A typo in a folder's name is an error, not an empty dataset."""
    with pytest.raises(NotFoundError, match="there is no folder"):
        list(LocalStore().list(folder.join("typo/")))


def test_a_file_that_vanishes_does_not_make_the_folder_a_missing_one(folder, tmp_path):
    """Who takes a missing folder for an empty one would miss the files that follow."""
    for name in "abc":
        (tmp_path / name).touch()
    infos = LocalStore().list(folder)
    next(infos)
    (tmp_path / "b").unlink()
    with pytest.raises(StorageError, match="b vanished while the folder was listed") as caught:
        next(infos)
    assert not isinstance(caught.value, NotFoundError)


def test_files_being_written_are_not_listed(folder, tmp_path):
    """A listing during a put shows the object only once it is whole."""
    (tmp_path / f".a.x{PARTIAL_SUFFIX}").write_bytes(b"half")
    (tmp_path / "a").write_bytes(b"whole")
    assert [info.name.rpartition("/")[2] for info in LocalStore().list(folder)] == ["a"]


def test_pipes_and_devices_are_written_into(folder, null_device):
    """They are not replaced, and the result has the number of bytes."""
    url = ObjectUrl.parse(f"file://{null_device}")
    assert LocalStore().put(url, b"bytes").size_bytes == 5
    assert null_device.is_char_device()


def test_a_file_without_a_known_size_is_not_read(folder, tmp_path, null_device):
    """The reader of a pipe would wait, or take it for an empty object."""
    os.mkfifo(tmp_path / "pipe")
    for url in (folder.join("pipe"), ObjectUrl.parse(f"file://{null_device}")):
        for read in (LocalStore().get, LocalStore().head):
            with pytest.raises(StorageError, match="it is a pipe, device or socket"):
                read(url)
    if Path("/proc/self/limits").exists():
        with pytest.raises(StorageError, match="but it has bytes"):
            LocalStore().get(ObjectUrl.parse("file:///proc/self/limits"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """An error on the way neither shows half a file nor leaves one behind."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    class Broken(Payload):
        def chunks(self):
            yield b"new"
            raise StorageError("gone")

    with Broken(b"new bytes") as payload, pytest.raises(StorageError):
        write_file(path, payload)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    """A linked folder is part of the data; one that leads to its own parent is not."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "x").write_bytes(b"x")
    (tmp_path / "link").symlink_to(data)
    (data / "up").symlink_to(tmp_path)
    names = [info.name.removeprefix(folder.name) for info in LocalStore().list(folder)]
    assert names == ["data/x", "link/x"]


def test_a_folder_is_not_an_object(folder, tmp_path):
    """Reading a folder says that it is one."""
    (tmp_path / "sub").mkdir()
    with pytest.raises(NotFoundError, match="is a folder"):
        LocalStore().head(folder.join("sub"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files_are_access_errors(folder, tmp_path):
    """A file without permission is told apart from a missing one."""
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(AccessError, match="forbids"):
        LocalStore().get(folder.join("secret"))


TIME_NS = 1_700_000_000 * 10**9


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_of_equal_size_and_time_is_another_version(folder, tmp_path, in_place):
    """As `cp -p`, `rsync -t` and `mv` make it. A file that nobody changes stays one version."""
    path, url, store = tmp_path / "a", folder.join("a"), LocalStore()
    path.write_bytes(b"old")
    os.utime(path, ns=(TIME_NS, TIME_NS))
    first = store.head(url)
    with store.get(url) as body:
        assert store.is_same(url, first, body.info)
    assert [info.etag for info in store.list(folder)] == [first.etag]
    other, changed_ns = path if in_place else tmp_path / "b", path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == changed_ns:  # the file system's clock ticks in milliseconds
        other.write_bytes(b"new")
        os.utime(other, ns=(TIME_NS, TIME_NS))
        other.replace(path)
    now = store.head(url)
    assert (now.size_bytes, now.mtime_s) == (first.size_bytes, first.mtime_s)
    assert not store.is_same(url, first, now)


def test_etl_needs_a_cluster(folder, tmp_path):
    """An ETL is never silently left out."""
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ConfigError, match="ETL 'md5'"):
        LocalStore().get(folder.join("a"), etl_name="md5")


def test_a_cluster_url_is_refused():
    """The error says that the URL is not that of a local file."""
    with pytest.raises(ConfigError, match="not a local file"):
        LocalStore().head(ObjectUrl.parse("ais://b/a"))


def test_listing_reads_no_folder_before_the_start(folder, tmp_path):
    """A listing does not read folders whose names are all before its start."""
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(b"x")
    (tmp_path / "a").chmod(0)
    try:
        after = folder.join("b/1").name
        names = [
            info.name.removeprefix(folder.name)
            for info in LocalStore().list(folder, start_after=after)
        ]
    finally:
        (tmp_path / "a").chmod(0o755)
    assert names == ["c/1"]


def test_broken_links_can_be_told_and_passed_over(tmp_path):
    """By default they end the listing."""
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "broken").symlink_to("nowhere")
    told = []
    store, url = LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/")
    infos = store.list_around_broken_links(url, lambda name, error: told.append(name))
    assert [info.name.rpartition("/")[2] for info in infos] == ["a"]
    assert [name.rpartition("/")[2] for name in told] == ["broken"]
    with pytest.raises(StorageError):
        list(store.list(url))
