"""Resume: a cut body is continued, and never with bytes of another version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aisio.client.object import Object
from aisio.errors import (
    IntegrityError,
    TruncatedError,
    UnavailableError,
)
from aisio.transport.body import Body
from tests.client.object_server import (
    CUT,
    DATA,
    WHOLE,
    bucket_that_sums_ranges,
    cut_part,
    hashed,
    part,
    stored,
    summed_alone,
)
from tests.http_server import Reply


def test_a_range_may_have_a_checksum_of_its_own() -> None:
    """The bucket's checksum.enable_read_range is requested once, when checksums differ."""
    rest, bucket = summed_alone(40, 100), bucket_that_sums_ranges(True)
    with stored(CUT, rest, bucket, CUT, rest) as (server, item):
        assert [item.get(), item.get()] == [DATA, DATA]
    assert [request.method for request in server.requests] == ["GET", "GET", "HEAD", "GET", "GET"]


def test_without_checksums_of_ranges_another_checksum_is_another_object() -> None:
    """The checksum is the object's own then, and the object was replaced."""
    with (
        stored(CUT, summed_alone(40, 100), bucket_that_sums_ranges(False)) as (_, item),
        pytest.raises(IntegrityError, match="replaced"),
    ):
        item.get()


def test_a_part_without_a_checksum_is_known_by_its_version() -> None:
    """It is enough that both responses have the same version."""
    rest = Reply(206, DATA[40:], {"Content-Range": "bytes 40-99/100", "Ais-Version": "1"})
    with stored(CUT, rest) as (_, item):
        assert item.get() == DATA


def test_another_version_is_another_object() -> None:
    """The settings of the bucket do not matter then, and are not requested."""
    other = part(40, 100, **hashed(DATA[40:]) | {"Ais-Version": "2"})
    with stored(CUT, other) as (server, item), pytest.raises(IntegrityError, match="replaced"):
        item.get()
    assert len(server.requests) == 2


def test_a_cut_body_continues_after_its_last_byte() -> None:
    """Each cut costs one ranged request, and the checksum is still of the whole."""
    with stored(CUT, cut_part(40, 100, 70), part(70, 100)) as (server, item):
        assert item.get() == DATA
    assert [request.headers["Range"] for request in server.requests] == [
        None,
        "bytes=40-",
        "bytes=70-",
    ]


def test_a_response_after_a_cut_must_name_its_version() -> None:
    """The first response named checksum and version; an equal length is not enough."""
    silent = Reply(206, DATA[40:], {"Content-Range": "bytes 40-99/100"})
    with (
        stored(CUT, silent) as (server, item),
        pytest.raises(IntegrityError, match="ais://b/d/a .*replaced"),
    ):
        item.get()
    assert len(server.requests) == 2


def test_a_cut_range_continues_within_its_bounds() -> None:
    """A range is continued up to its own end."""
    with stored(cut_part(10, 50, 20), part(20, 50)) as (server, item):
        assert item.get(start=10, stop=50) == DATA[10:50]
    assert server.requests[1].headers["Range"] == "bytes=20-49"


def test_a_body_that_is_always_cut_is_an_error() -> None:
    """With URL, expected and got, and the number of tries."""
    cuts = [CUT, cut_part(40, 100, 41), cut_part(41, 100, 42)]
    with stored(*cuts, attempts=3) as (server, item), pytest.raises(TruncatedError) as caught:
        item.stream().readall()
    assert str(caught.value).startswith(
        "GET ais://b/d/a ?#: cut short: expected 100 bytes, got 42 (gave up after 3 tries"
    )
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "then",
    [
        part(40, 100, **{"Ais-Version": "2"}),
        part(40, 100, **{"Ais-Checksum-Value": "0123456789abcdef"}),
        part(40, 100, **{"Content-Range": "bytes 40-99/101"}),
        Reply(416, headers={"Content-Range": "bytes */30"}),
    ],
    ids=["version", "checksum", "size", "shorter"],
)
def test_a_body_never_continues_with_another_version(then: Reply) -> None:
    """Half of one object and half of another would be the worst result of all."""
    with stored(CUT, then) as (_, item), pytest.raises(IntegrityError, match="was replaced"):
        item.stream().readall()


def test_an_object_without_a_version_is_read_again_from_its_start() -> None:
    """The rest may be that of another object. `get` can start again; a stream cannot."""
    bare = Reply(200, DATA[:40], {"Content-Length": "100"})
    with stored(bare, Reply(200, DATA)) as (server, item):
        assert item.get() == DATA
    assert [request.headers["Range"] for request in server.requests] == [None, None]
    with stored(bare) as (_, item), pytest.raises(TruncatedError):
        item.stream().readall()


def chunked(data: bytes, *, of: int) -> Reply:
    """Return a response without a length, cut within its only chunk."""
    headers = {"Transfer-Encoding": "chunked", "ETag": '"e"'}
    return Reply(200, b"%x\r\n%b" % (of, data), headers)


def test_a_body_of_unknown_length_is_read_again_from_its_start() -> None:
    """If it were continued, a second cut would look like its end."""
    rest = Reply(
        206,
        DATA[40:70],
        {"Content-Range": "bytes 40-99/100", "Content-Length": "60", "ETag": '"e"'},
    )
    cut = chunked(DATA[:40], of=100)
    with stored(cut, Reply(200, DATA, {"ETag": '"e"'})) as (server, item):
        assert item.get() == DATA
    assert [request.headers["Range"] for request in server.requests] == [None, None]
    with stored(cut, rest) as (_, item), pytest.raises(UnavailableError, match="broke off"):
        item.stream().readall()


@contextmanager
def part_of(item: Object, stopped: Callable[[], bool]) -> Iterator[Body]:
    """Open bytes [10, 50) of the whole by a request of their own."""
    with item.stream() as whole:
        assert whole.parts is not None
        with whole.parts.open(10, 50, stopped) as body:
            yield body


@pytest.mark.parametrize("begins", [[], [cut_part(10, 50, 20)]], ids=["never opened", "cut"])
@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_part_that_nobody_waits_for_is_not_requested_again(
    begins: list[Reply], fails: int
) -> None:
    """Another part failed, or somebody pressed ^C: all threads wait for this part to end."""
    with (
        stored(WHOLE, *begins, *[Reply(503)] * 9, attempts=100) as (server, item),
        pytest.raises(UnavailableError, match="503"),
        part_of(item, lambda: len(server.requests) > len(begins) + fails) as body,
    ):
        body.readall()
    assert len(server.requests) == 1 + len(begins) + fails
