"""TarStore: the members of a tar as objects of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import (
    ConfigError,
    NotFoundError,
    RangeError,
)
from aisio.records import ByteRange
from aisio.stores import LocalStore
from aisio.stores.tar import TarStore
from aisio.urls import ObjectUrl
from tests.tars import pack

MEMBERS = [("b/2.jpg", b"0123456789"), ("a.txt", b"text"), ("empty", b""), ("B", b"B" * 3000)]


@pytest.fixture
def url(tmp_path):
    """Return the URL of an archive."""
    (tmp_path / "t.tar").write_bytes(pack(*MEMBERS))
    return ObjectUrl.parse(f"file://{tmp_path}/t.tar")


@pytest.fixture
def store(url):
    """Return the archive as a store."""
    return TarStore(LocalStore(), url)


def member(url, name):
    """Return the URL of a member."""
    return url.with_name(f"{url.name}/{name}")


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, None, b"0123456789"), (3, 7, b"3456"), (8, 99, b"89"), (9, None, b"9")],
)
def test_ranges_are_those_of_the_member(store, url, start, stop, expected):
    """Never a byte of another member."""
    body = store.get(member(url, "b/2.jpg"), ByteRange(start, stop))
    assert body.size_bytes == len(expected)
    assert body.readall() == expected


def test_a_range_outside_the_member_is_refused(store, url):
    """Though the archive has bytes there."""
    with pytest.raises(RangeError, match="10 bytes"):
        store.get(member(url, "b/2.jpg"), ByteRange(10))
    assert store.get(member(url, "empty"), ByteRange(0, 5)).readall() == b""


def test_members_are_listed_and_read_as_in_any_store(store, url):
    """Listed in bytewise order, from a name on; `head` has their sizes."""
    names = [info.name.removeprefix(f"{url.name}/") for info in store.list(member(url, ""))]
    assert names == ["B", "a.txt", "b/2.jpg", "empty"]
    after = f"{url.name}/a.txt"
    assert len(list(store.list(member(url, ""), start_after=after))) == 2
    assert store.head(member(url, "a.txt")).size_bytes == 4
    assert store.read(member(url, "a.txt")) == b"text"


def test_other_names_are_not_found(store, url, tmp_path):
    """The error names archive and member; another archive's member is not in this one."""
    with pytest.raises(NotFoundError, match=r"t\.tar/absent.*no such file"):
        store.get(member(url, "absent"))
    with pytest.raises(NotFoundError):
        store.head(ObjectUrl.parse(f"ais://b/{url.name}/a.txt"))


def test_a_tar_is_only_read(store, url):
    """Nor can an ETL transform a member."""
    with pytest.raises(ConfigError, match="only read"):
        store.put(member(url, "x"), b"")
    with pytest.raises(ConfigError, match="only read"):
        store.delete(member(url, "a.txt"))
    with pytest.raises(ConfigError, match="ETL"):
        store.get(member(url, "a.txt"), etl_name="md5")


def test_a_body_has_the_info_of_the_member(store, url):
    """Its errors name the member, not the archive."""
    body = store.get(member(url, "a.txt"))
    assert body.info.url == f"{url}/a.txt"
    assert body.info.size_bytes == 4
    body.close()


def test_a_request_for_a_member_is_sent_ahead_as_a_range(url):
    """An empty member needs no request, and a request for a part is not sent ahead."""
    sent = []

    class Recording(LocalStore):
        def send_ahead(self, url, byte_range=None, *, etl_name=None):
            sent.append((url, byte_range, etl_name))

    store = TarStore(Recording(), url)
    for info in store.in_order():
        store.send_ahead(url.with_name(info.name))
    store.send_ahead(member(url, "B"), ByteRange(0, 10))
    archive = Path("/", url.name).read_bytes()
    assert [(where, etl_name) for where, _, etl_name in sent] == [(url, None)] * 3
    assert [archive[part.start : part.stop] for _, part, _ in sent] == [
        data for _, data in MEMBERS if data
    ]
