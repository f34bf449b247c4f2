"""Members of a tar as objects."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from aisio.errors import (
    IntegrityError,
    RangeError,
    ShardError,
    TruncatedError,
)
from aisio.records import ByteRange, RetryPolicy
from aisio.sources.digest import listing_digest
from aisio.sources.resolve import source
from aisio.sources.tar import TarSource
from aisio.stores import DirectStore, LocalStore
from aisio.transport.body import Body
from aisio.urls import ObjectUrl
from tests.tars import gnu_sparse, hard_link, pack, pax_sparse, sparse_content, typed

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


def member(url, name):
    """Return the URL of a member."""
    return url.with_name(f"{url.name}/{name}")


def test_members_are_objects_below_the_archive(one, url):
    """In the order of the archive, with their sizes; each is read alone."""
    infos = list(one.list())
    assert [info.url for info in infos] == [f"{url}/{name}" for name, _ in MEMBERS]
    assert [info.size_bytes for info in infos] == [len(data) for _, data in MEMBERS]
    assert [one.read(info) for info in reversed(infos)] == [data for _, data in MEMBERS][::-1]
    assert [one.get(info).readall() for info in infos] == [data for _, data in MEMBERS]


def test_a_member_that_cannot_be_read_leaves_the_others_alone(tmp_path):
    """It is listed without a size; reading it is an error that says what it is and where."""
    data = typed(b"M", "b.raw", b"x") + typed(b"Z", "c.raw", b"x" * 700) + pack(("d", b"4"))
    (tmp_path / "t.tar").write_bytes(data)
    odd = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/t.tar"))
    volume, unknown, plain = odd.list()
    assert [info.size_bytes for info in (volume, unknown, plain)] == [None, None, 1]
    assert odd.read(plain) == b"4"
    for info, what in ((volume, "the continuation of"), (unknown, "of the unknown type b'Z'")):
        with pytest.raises(ShardError, match=rf"^get {info.url}: member .* at byte \d+ is {what}"):
            odd.read(info)


@pytest.mark.parametrize("behind", [b"", hard_link("e", "c.npy"), pax_sparse("e"), b"plain"])
def test_sparse_files_are_read_as_what_they_are_of(tmp_path, behind):
    """Whole and by ranges, whatever comes next in the archive: its holes are zeros."""
    behind = pack(("e", b"5"))[:1024] if behind == b"plain" else behind
    data = gnu_sparse("b.npy", spans=30) + pax_sparse("c.npy") + behind + bytes(1024)
    (tmp_path / "t.tar").write_bytes(data)
    odd = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/t.tar"))
    first, second, *others = odd.list()
    assert [first.size_bytes, second.size_bytes] == [30 * 4096, 8192]
    assert odd.read(first) == sparse_content(30)
    for start, stop in ((0, 1), (400, 4100), (8191, 9000)):
        part = odd.get(second, byte_range=ByteRange(start, stop))
        assert part.readall() == sparse_content()[start:stop]
    with pytest.raises(RangeError):
        odd.get(second, byte_range=ByteRange(8192, 9000))
    for other in others:
        assert odd.read(other) in (sparse_content(), b"5")


def test_a_sparse_file_whose_map_is_wrong_is_an_error_when_it_is_read(tmp_path):
    """The others are not."""
    data = pax_sparse("a.npy").replace(b"4096\n", b"8000\n") + pack(("d", b"4"))
    (tmp_path / "t.tar").write_bytes(data)
    odd = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/t.tar"))
    wrong, plain = odd.list()
    assert odd.read(plain) == b"4"
    with pytest.raises(ShardError, match="'a.npy' at byte 0: a span of a sparse file ends"):
        odd.read(wrong)


@pytest.mark.parametrize("size", [b"-1", b"many", b""])
def test_a_sparse_file_without_a_valid_size_cannot_be_read(tmp_path, size):
    """It is not taken for an empty one."""
    data = pax_sparse("a.npy").replace(b"realsize=8192", b"realsize=%s" % size.rjust(4, b"x"))
    (tmp_path / "t.tar").write_bytes(data + pack(("d", b"4")))
    odd = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/t.tar"))
    wrong, plain = odd.list()
    assert (wrong.size_bytes, odd.read(plain)) == (None, b"4")
    with pytest.raises(ShardError, match=r"member 'a\.npy' at byte 0 is a sparse file"):
        odd.read(wrong)


def test_a_prefix_narrows_it(one, url):
    """Names begin with that of the archive."""
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


def test_an_archive_that_was_replaced_is_refused(one, url, tmp_path):
    """The offsets of its members are then wrong."""
    infos = list(one.list())
    (tmp_path / "t.tar").write_bytes(pack(("other", b"o" * 9000)))
    with pytest.raises(IntegrityError, match="replaced"):
        one.read(infos[0])


def test_its_digest_is_that_of_the_same_folder_of_names(one, url, tmp_path):
    """Names are relative to the archive: a copy of it elsewhere has the same digest."""
    (tmp_path / "copy.tar").write_bytes((tmp_path / "t.tar").read_bytes())
    copy = TarSource(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/copy.tar"))
    assert one.base_url == f"{url}/"
    assert listing_digest(copy) == listing_digest(one)


def test_a_source_stays_itself(one):
    """`source` returns it unchanged."""
    assert source(one) is one
    assert repr(one).startswith("TarSource('file:///")


def test_a_tar_in_a_cloud_is_read_by_ranges():
    """By the direct store, here over the memory store."""
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


def test_a_member_that_is_cut_in_transit_is_an_error(url):
    """Its length must be that of its header."""

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
