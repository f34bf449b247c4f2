"""Members of a tar as objects."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    ShardError,
    TruncatedError,
)
from aisio.records import ByteRange, RetryPolicy
from aisio.sources.digest import listing_digest
from aisio.sources.resolve import source
from aisio.sources.tar import TarSource
from aisio.stores import DirectStore, LocalStore
from aisio.stores.tar import TarStore
from aisio.transport.body import Body
from aisio.urls import ObjectUrl
from tests.tars import gnu_sparse, pack, typed

MEMBERS = [("b/2.jpg", b"0123456789"), ("a.txt", b"text"), ("empty", b""), ("B", b"B" * 3000)]


@pytest.fixture
def url(tmp_path):
    """Return the URL of an archive."""
    (tmp_path / "t.tar").write_bytes(pack(*MEMBERS))
    return ObjectUrl.parse(f"file://{tmp_path}/t.tar")


@pytest.fixture
def one(url):
    """Return the archive as a source."""
    return TarSource(LocalStore(), url)


@pytest.fixture
def store(url):
    """Return the archive as a store."""
    return TarStore(LocalStore(), url)


def member(url, name):
    """Return the URL of a member."""
    return url.with_name(f"{url.name}/{name}")


def test_members_are_objects_below_the_archive(one, url):
    """In the order of the archive, with their sizes; each is read by itself."""
    infos = list(one.list())
    assert [info.url for info in infos] == [f"{url}/{name}" for name, _ in MEMBERS]
    assert [info.size_bytes for info in infos] == [len(data) for _, data in MEMBERS]
    assert [one.read(info) for info in reversed(infos)] == [data for _, data in MEMBERS][::-1]
    assert [one.get(info).readall() for info in infos] == [data for _, data in MEMBERS]


def test_a_member_that_cannot_be_read_leaves_the_others_alone(tmp_path):
    """It is there, without a size, and whoever reads it is told what it is and where."""
    data = gnu_sparse("b.npy", spans=30) + typed(b"Z", "c.raw", b"x" * 700) + pack(("d", b"4"))
    (tmp_path / "t.tar").write_bytes(data)
    odd = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/t.tar"))
    sparse, unknown, plain = odd.list()
    assert [info.size_bytes for info in (sparse, unknown, plain)] == [None, None, 1]
    assert odd.read(plain) == b"4"
    for info, what in ((sparse, "a sparse file"), (unknown, "of the unknown type b'Z'")):
        with pytest.raises(ShardError, match=rf"^get {info.url}: member .* at byte \d+ is {what}"):
            odd.read(info)


def test_a_prefix_narrows_it(one, url):
    """The archive's own name comes first."""
    assert [info.name for info in one.list(f"{url.name}/b")] == [f"{url.name}/b/2.jpg"]
    assert list(one.list("other")) == []


def test_the_headers_are_read_once(url):
    """By many threads too, and not again after pickling."""

    class Counting(LocalStore):
        heads = 0

        def head(self, url):
            Counting.heads += 1
            return super().head(url)

    one = TarSource(Counting(), url)
    assert Counting.heads == 0
    with ThreadPoolExecutor(8) as pool:
        listed = list(pool.map(lambda _: list(one.list()), range(8)))
    assert Counting.heads == 1
    assert all(infos == listed[0] for infos in listed)
    plain = TarSource(LocalStore(), url)
    infos = list(plain.list())
    again = pickle.loads(pickle.dumps(plain))
    assert list(again.list()) == infos
    assert again.read(infos[0]) == b"0123456789"


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, None, b"0123456789"), (3, 7, b"3456"), (8, 99, b"89"), (9, None, b"9")],
)
def test_ranges_are_those_of_the_member(store, url, start, stop, expected):
    """Never a byte of what stands beside it."""
    body = store.get(member(url, "b/2.jpg"), ByteRange(start, stop))
    assert body.size_bytes == len(expected)
    assert body.readall() == expected


def test_a_range_outside_the_member_is_refused(store, url):
    """Though the archive goes on there."""
    with pytest.raises(RangeError, match="10 bytes"):
        store.get(member(url, "b/2.jpg"), ByteRange(10))
    assert store.get(member(url, "empty"), ByteRange(0, 5)).readall() == b""


def test_it_is_a_store(store, url):
    """Listed in bytewise order, from a name on; head tells sizes."""
    names = [info.name.removeprefix(f"{url.name}/") for info in store.list(member(url, ""))]
    assert names == ["B", "a.txt", "b/2.jpg", "empty"]
    after = f"{url.name}/a.txt"
    assert len(list(store.list(member(url, ""), start_after=after))) == 2
    assert store.head(member(url, "a.txt")).size_bytes == 4
    assert store.read(member(url, "a.txt")) == b"text"


def test_what_is_not_in_it_is_not_found(store, url, tmp_path):
    """The error names archive and member; another archive's member is not in this one."""
    with pytest.raises(NotFoundError, match=r"t\.tar/absent.*no such file"):
        store.get(member(url, "absent"))
    with pytest.raises(NotFoundError):
        store.head(ObjectUrl.parse(f"ais://b/{url.name}/a.txt"))


def test_an_archive_that_was_replaced_is_refused(one, url, tmp_path):
    """The place of a member is then anything."""
    infos = list(one.list())
    (tmp_path / "t.tar").write_bytes(pack(("other", b"o" * 9000)))
    with pytest.raises(IntegrityError, match="replaced"):
        one.read(infos[0])


def test_a_tar_is_only_read(store, url):
    """By what it is told to write, too."""
    with pytest.raises(ConfigError, match="only read"):
        store.put(member(url, "x"), b"")
    with pytest.raises(ConfigError, match="only read"):
        store.delete(member(url, "a.txt"))
    with pytest.raises(ConfigError, match="ETL"):
        store.get(member(url, "a.txt"), etl_name="md5")


def test_a_body_speaks_of_the_member(store, url):
    """Its errors name what was asked for, not the archive."""
    body = store.get(member(url, "a.txt"))
    assert body.info.url == f"{url}/a.txt"
    assert body.info.size_bytes == 4
    body.close()


def test_its_digest_is_that_of_the_same_folder_of_names(one, url, tmp_path):
    """Names count from the archive: a copy of it elsewhere has the same digest."""
    (tmp_path / "copy.tar").write_bytes((tmp_path / "t.tar").read_bytes())
    copy = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/copy.tar"))
    assert one.base_url == f"{url}/"
    assert listing_digest(copy) == listing_digest(one)


def test_a_source_stays_itself(one):
    """`source` takes it as it is."""
    assert source(one) is one
    assert repr(one).startswith("TarSource('file:///")


def test_a_member_is_asked_for_ahead_as_a_range(url):
    """All of it; an empty one needs no request, and a part of one is not asked ahead."""
    asked = []

    class Asking(LocalStore):
        def send_ahead(self, url, byte_range=None, *, etl_name=None):
            asked.append((url, byte_range, etl_name))

    store = TarStore(Asking(), url)
    for info in store.in_order():
        store.send_ahead(url.with_name(info.name))
    store.send_ahead(member(url, "B"), ByteRange(0, 10))
    archive = Path("/", url.name).read_bytes()
    assert [(where, etl_name) for where, _, etl_name in asked] == [(url, None)] * 3
    assert [archive[part.start : part.stop] for _, part, _ in asked] == [
        data for _, data in MEMBERS if data
    ]


def test_a_tar_in_a_cloud_is_read_by_ranges():
    """By the direct store too, here a cloud in memory."""
    pytest.importorskip("obstore")
    url = ObjectUrl.parse("memory://tars/t.tar")
    store = DirectStore()
    store.put(url, pack(*MEMBERS))
    one = TarSource(store, url)
    infos = list(one.list())
    assert [one.read(info) for info in infos] == [data for _, data in MEMBERS]
    store.put(url, pack(*MEMBERS[::-1]))
    with pytest.raises(IntegrityError, match="replaced"):
        one.read(infos[0])


def test_a_member_that_is_cut_on_its_way_is_an_error(url):
    """The length that its header says is the length that comes."""

    class Cutting(LocalStore):
        def get(self, url, byte_range=None, *, etl_name=None):
            body = super().get(url, byte_range)
            if byte_range.stop - byte_range.start == 10:
                return Body(io.BytesIO(b"0123"), body.info, 10)
            return body

        @property
        def retry_policy(self):
            return RetryPolicy(attempts=1)

    one = TarSource(Cutting(), url)
    info = next(one.list())
    with pytest.raises(
        TruncatedError, match=r"t\.tar/b/2\.jpg: cut short: expected 10 bytes, got 4"
    ):
        one.read(info)
