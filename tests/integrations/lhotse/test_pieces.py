"""Pieces of objects: joined, read together, each with a result of its own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
import torch  # noqa: F401 - the folder's conftest needs it

from aisio import Bucket, Client, NotFoundError, RetryPolicy
from aisio.errors import AccessError, RangeError, UnavailableError
from aisio.integrations.lhotse.pieces import (
    MAX_GAP_BYTES,
    MAX_GIVEN_UP,
    MAX_SPAN_BYTES,
    Piece,
    PieceReader,
    ReadSpan,
    join,
)
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Cut, Status
from aisio.urls import ObjectUrl
from tests.tars import pack

A, B = ObjectUrl.parse("ais://speech/a.tar"), ObjectUrl.parse("ais://speech/b.tar")
DATA = bytes(range(256)) * 40


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Return a proxy before the cluster, which has two objects and an archive."""
    bucket.object("a.tar").put(DATA)
    bucket.object("b.tar").put(DATA[::-1])
    bucket.object("c.tar").put(pack(("x/1.wav", b"one"), ("x/2.wav", b"two")))
    with FaultProxy(bucket.client.endpoint) as proxy:
        yield proxy


@pytest.fixture
def reader(proxy: FaultProxy) -> PieceReader:
    """Return a reader that gives up soon."""
    return PieceReader(Client(proxy.endpoint, retry=RetryPolicy(attempts=2, first_wait_s=0)))


def batches(proxy: FaultProxy) -> int:
    """Return how many batches were sent to the node that made them."""
    return sum(one.path.startswith("/v1/ml/moss") and one.status == 200 for one in proxy.requests)


def gets(proxy: FaultProxy) -> list[str]:
    """Return the names of the objects that were sent by GETs."""
    sent = [one for one in proxy.requests if one.path.startswith("/v1/objects/")]
    return [
        one.path.rpartition("/")[2]
        for one in sent
        if one.method == "GET" and one.status in (200, 206)
    ]


def test_near_ranges_are_joined_and_repeats_are_read_once() -> None:
    """Objects and files in archives are not joined."""
    pieces = [
        Piece(A, start=600, stop=700),
        Piece(B),
        Piece(A, start=100, stop=600),
        Piece(A, start=700 + MAX_GAP_BYTES + 1, stop=700 + MAX_GAP_BYTES + 2),
        Piece(B, "x.wav"),
        Piece(B),
        Piece(A, start=150, stop=200),
        Piece(B, start=0, stop=5),
    ]
    assert join(pieces) == [
        ReadSpan(Piece(A, start=100, stop=700), [2, 6, 0]),
        ReadSpan(pieces[1], [1, 5]),
        ReadSpan(pieces[3], [3]),
        ReadSpan(pieces[4], [4]),
        ReadSpan(pieces[7], [7]),
    ]
    assert join([]) == []


def test_a_span_is_bounded() -> None:
    """A range that is larger is alone."""
    half = MAX_SPAN_BYTES // 2
    pieces = [Piece(A, start=half * n, stop=half * (n + 1)) for n in range(5)]
    assert [span.numbers for span in join(pieces)] == [[0, 1], [2, 3], [4]]
    large = Piece(A, start=half * 5, stop=half * 9)
    assert [span.numbers for span in join([*pieces, large])] == [[0, 1], [2, 3], [4], [5]]


PIECES = [
    Piece(A, start=512, stop=1024),
    Piece(B),
    Piece(ObjectUrl.parse("ais://speech/c.tar"), "x/2.wav"),
    Piece(A, start=0, stop=512),
    Piece(B),
]
EXPECTED = [DATA[512:1024], DATA[::-1], b"two", DATA[:512], DATA[::-1]]


def test_a_batch_is_one_request(reader: PieceReader, proxy: FaultProxy) -> None:
    """With an entry for each span."""
    assert reader.read(PIECES, by_batch=True) == EXPECTED
    assert (batches(proxy), gets(proxy)) == (1, [])


def test_without_a_batch_all_comes_by_gets(reader: PieceReader, proxy: FaultProxy) -> None:
    """One for each span; also after pickling."""
    twin = pickle.loads(pickle.dumps(reader))
    assert twin.read(PIECES, by_batch=False) == EXPECTED
    assert batches(proxy) == 0
    assert sorted(gets(proxy)) == ["a.tar", "b.tar", "c.tar"]


@pytest.mark.parametrize(
    ("cut_at", "read_singly"),
    [(0, ["a.tar", "b.tar", "c.tar"]), (3_000, ["b.tar", "c.tar"]), (12_500, ["c.tar"])],
)
def test_a_batch_that_breaks_off_is_completed(
    reader: PieceReader, proxy: FaultProxy, cut_at: int, read_singly: list[str]
) -> None:
    """What came counts; the rest is asked for again."""
    proxy.add(Cut(after_bytes=cut_at), path="/v1/ml/moss/*", skip=1, times=1)
    assert reader.read(PIECES, by_batch=True) == EXPECTED
    assert sorted(gets(proxy)) == read_singly


@pytest.mark.parametrize("status", [404, 409, 500, 501])
def test_a_cluster_that_makes_no_batch_is_asked_for_each(
    reader: PieceReader, proxy: FaultProxy, status: int
) -> None:
    """As while its nodes do not agree on who is a member."""
    proxy.add(Status(status), path="/v1/ml/moss*", times=None)
    assert reader.read(PIECES, by_batch=True) == EXPECTED


@pytest.mark.parametrize("by_batch", [True, False])
def test_what_is_missing_has_its_error_in_its_place(
    reader: PieceReader, proxy: FaultProxy, *, by_batch: bool
) -> None:
    """Or is raised."""
    gone = Piece(ObjectUrl.parse("ais://speech/gone.wav"))
    beyond = Piece(B, start=len(DATA) - 10, stop=len(DATA) + 10)
    behind = Piece(A, start=10 * len(DATA), stop=10 * len(DATA) + 5)
    no_file = Piece(ObjectUrl.parse("ais://speech/c.tar"), "x/3.wav")
    pieces = [gone, PIECES[1], beyond, behind, no_file, PIECES[0]]
    results = reader.read(pieces, by_batch=by_batch, keeps_errors=True)
    kinds = [type(one) for one in results]
    assert kinds == [NotFoundError, bytes, RangeError, RangeError, NotFoundError, bytes]
    assert [results[1], results[5]] == [EXPECTED[1], EXPECTED[0]]
    assert "gone.wav" in str(results[0])
    with pytest.raises(NotFoundError, match=r"gone\.wav"):
        reader.read(pieces, by_batch=by_batch)


@pytest.mark.parametrize("by_batch", [True, False])
def test_a_refusal_is_no_gap_in_the_data(
    reader: PieceReader, proxy: FaultProxy, *, by_batch: bool
) -> None:
    """It is raised whatever is kept."""
    proxy.add(Status(401), times=None)
    with pytest.raises(AccessError):
        reader.read(PIECES, by_batch=by_batch, keeps_errors=True)


@pytest.mark.parametrize("by_batch", [True, False])
def test_a_bucket_that_does_not_exist_is_no_gap_in_the_data(
    reader: PieceReader, *, by_batch: bool
) -> None:
    """A whole corpus would be left out."""
    pieces = [*PIECES, Piece(ObjectUrl.parse("ais://spech/a.wav"))]
    with pytest.raises(NotFoundError, match="ais://spech"):
        reader.read(pieces, by_batch=by_batch, keeps_errors=True)


def test_an_empty_object_of_a_batch_is_asked_for_again(
    bucket: Bucket, reader: PieceReader, proxy: FaultProxy
) -> None:
    """A batch has no checksum that tells whether it is."""
    bucket.object("empty").put(b"")
    pieces = [*PIECES, Piece(ObjectUrl.parse("ais://speech/empty"))]
    assert reader.read(pieces, by_batch=True) == [*EXPECTED, b""]
    assert (batches(proxy), gets(proxy)) == (1, ["empty"])


def test_an_outage_is_no_gap_in_the_data(reader: PieceReader, proxy: FaultProxy) -> None:
    """A few objects that cannot be read are; their number is bounded, as each takes a while."""
    urls = [ObjectUrl.parse(f"ais://speech/audio/{number:02d}.wav") for number in range(10)]
    proxy.add(Status(500), path="*/audio/00.wav", times=None)
    results = reader.read([Piece(url) for url in urls], by_batch=False, keeps_errors=True)
    assert [isinstance(one, bytes) for one in results] == [False] + [True] * 9
    proxy.add(Status(500), path="*/audio/*", times=None)
    with pytest.raises(UnavailableError):
        reader.read([Piece(url) for url in urls], by_batch=False, keeps_errors=True)
    assert MAX_GIVEN_UP < 10


def test_buckets_with_a_namespace_have_batches_of_their_own(
    reader: PieceReader, proxy: FaultProxy
) -> None:
    """One request has one namespace."""
    bucket = reader.client
    assert bucket is not None
    other = bucket.bucket("spoken", namespace="#team").create()
    other.object("a.wav").put(b"theirs")
    pieces = [*PIECES, Piece(ObjectUrl.parse("ais://#team/spoken/a.wav"))]
    try:
        assert reader.read(pieces, by_batch=True) == [*EXPECTED, b"theirs"]
    finally:
        other.delete()
    assert (batches(proxy), gets(proxy)) == (2, [])
