"""ObjectReader: the bytes of a local file, by few requests and on few connections."""

from __future__ import annotations

import io
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.errors import IntegrityError, RangeError, TruncatedError, UnavailableError
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.transport.body import Body
from aisio.transport.retries import Attempts, Waiter
from aisio.transport.seekable import (
    BUFFER_BYTES,
    FIRST_WINDOW_BYTES,
    MAX_SKIP_BYTES,
    MAX_WINDOW_BYTES,
    WINDOW_GROWTH,
    ObjectReader,
    Remembered,
    Span,
    next_span,
    open_seekable,
)
from tests.transport.responses import Dribble, info_of

KIB, MIB = 1024, 1024 * 1024
SMALL = bytes(range(256)) * 3
LARGE = random.Random(5).randbytes(4 * MIB)
HUGE_BYTES = 32 * MIB
HUGE = random.Random(6).randbytes(HUGE_BYTES)


class Reply(Dribble):
    """A response in pieces that knows whether it was read to its end."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data, most)
        self._all = len(data)
        self.read_out = False

    def close(self) -> None:
        self.read_out = self.read_out or (not self.closed and self.tell() == self._all)
        super().close()


class Store:
    """Opens ranges of an object.

    Attributes:
        asked: The Range headers, "" for none.
        cut: How many connections were lost by replies that were not read out.
    """

    def __init__(self, data: bytes, info: ObjectInfo | None = None, most: int = 1 << 20) -> None:
        self.data = data
        self.info = info or info_of(data)
        self.asked: list[str] = []
        self._most = most
        self._replies: list[Reply] = []

    def __call__(self, byte_range: ByteRange | None) -> Body:
        self.asked.append(str(byte_range or ""))
        start, stop = (byte_range.start, byte_range.stop) if byte_range else (0, None)
        data = self.data[start:stop]
        self._replies.append(Reply(data, self._most))
        checksum = None if byte_range else self.info.checksum
        return Body(self._replies[-1], self.info, len(data), checksum)

    @property
    def cut(self) -> int:
        return sum(reply.closed and not reply.read_out for reply in self._replies)


def opened(store: Store) -> io.BufferedReader:
    """Return the object as a file."""
    return open_seekable(store.info, store)


whences = st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
small_steps = st.one_of(
    st.tuples(st.just("seek"), st.integers(-50, 900), whences),
    st.tuples(st.sampled_from(["read", "readline"]), st.integers(-1, 300), st.just(0)),
    st.tuples(st.sampled_from(["readinto", "peek"]), st.integers(0, 300), st.just(0)),
)
sizes = st.sampled_from([0, 1, 5000, BUFFER_BYTES, BUFFER_BYTES + 1, 300_000, MIB + 7, 3 * MIB])
large_steps = st.one_of(
    st.tuples(st.just("seek"), st.integers(-5 * MIB, 5 * MIB) | sizes, whences),
    st.tuples(st.sampled_from(["read", "readinto", "peek", "readline"]), sizes, st.just(0)),
    st.tuples(st.just("read"), st.just(-1), st.just(0)),
)


def follow(remote: Any, local: io.BytesIO, steps: list[tuple[str, int, int]]) -> None:
    """Take the same steps in both files and compare what comes, errors included."""
    size = len(local.getvalue())
    for step, number, whence in steps:
        if step == "peek":
            here = local.tell()
            peeked = remote.peek(number)
            assert peeked == local.getvalue()[here : here + len(peeked)]
            assert peeked or here >= size
        elif step == "readinto":
            buffers = bytearray(number), bytearray(number)
            assert remote.readinto(buffers[0]) == local.readinto(buffers[1])
            assert buffers[0] == buffers[1]
        elif step != "seek":
            assert getattr(remote, step)(number) == getattr(local, step)(number)
        elif {0: 0, 1: local.tell(), 2: size}[whence] + number < 0:
            with pytest.raises((ValueError, OSError)):
                remote.seek(number, whence)
        else:
            assert remote.seek(number, whence) == local.seek(number, whence)
        assert remote.tell() == local.tell()


@given(data=st.binary(max_size=800), steps=st.lists(small_steps), most=st.integers(1, 1000))
def test_any_steps_in_a_small_object_are_those_of_a_local_file(
    data: bytes, steps: list[tuple[str, int, int]], most: int
) -> None:
    """Whatever the socket gives at once: io.BytesIO is the reference."""
    store = Store(data, most=most)
    with opened(store) as remote:
        follow(remote, io.BytesIO(data), steps)
    assert len(store.asked) <= 1


@settings(max_examples=60)
@given(steps=st.lists(large_steps, max_size=20), most=st.sampled_from([10_000, 1 << 20]))
def test_any_steps_in_a_large_object_are_those_of_a_local_file(
    steps: list[tuple[str, int, int]], most: int
) -> None:
    """By streams, blocks and windows, remembered or not."""
    with opened(Store(LARGE, most=most)) as remote:
        follow(remote, io.BytesIO(LARGE), steps)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("seek"), st.integers(-50, 900), whences),
            st.tuples(st.just("read"), st.integers(-1, 300), st.just(0)),
        )
    )
)
def test_the_bare_reader_is_a_raw_file(steps: list[tuple[str, int, int]]) -> None:
    """It works unbuffered as well."""
    with ObjectReader(info_of(SMALL), Store(SMALL)) as remote:
        follow(remote, io.BytesIO(SMALL), steps)


@pytest.mark.parametrize("size", [4096, 100_000, MIB, -1])
def test_reading_from_the_start_is_one_stream(size: int) -> None:
    """However it is cut up by the caller; it is verified at its end."""
    store = Store(LARGE)
    with opened(store) as file:
        assert b"".join(iter(lambda: file.read(size), b"")) == LARGE
    assert (store.asked, store.cut) == ([""], 0)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_object_read_from_its_start_to_its_end_is_verified(data: bytes) -> None:
    """Length and content; a small one is verified before its first byte is handed out."""
    store = Store(data[:-1] + b"\x00", info_of(data))
    with opened(store) as file, pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
        list(iter(lambda: file.read(100_000), b""))


def test_random_reads_take_a_request_each_at_most_and_cut_nothing() -> None:
    """All replies are read out: one connection does."""
    store, draw = Store(HUGE), random.Random(1)
    with opened(store) as file:
        for _ in range(50):
            at = draw.randrange(1, len(HUGE) - 200)
            file.seek(at)
            assert file.read(100) == HUGE[at : at + 100]
    assert len(store.asked) <= 50
    assert store.cut == 0


def test_a_read_of_any_size_elsewhere_takes_one_request_or_few() -> None:
    """What is neither small nor far larger than the buffer cannot be told from a small one."""
    for size, most in [(1, 1), (60_000, 1), (200_000, 2), (500_000, 3), (600_000, 1), (5 * MIB, 1)]:
        store = Store(HUGE)
        with opened(store) as file:
            file.seek(MIB)
            assert file.read(size) == HUGE[MIB : MIB + size]
        assert len(store.asked) == most


def test_reading_on_elsewhere_asks_for_more_and_more() -> None:
    """64 KiB, then four times as many, up to a bound, and the rest with the last one."""
    store = Store(HUGE)
    with opened(store) as file:
        file.seek(MIB)
        while file.read(4096):
            pass
    spans = [text.removeprefix("bytes=").split("-") for text in store.asked]
    assert [int(start) for start, _ in spans[1:]] == [int(stop) + 1 for _, stop in spans[:-1]]
    asked = [int(stop) + 1 - int(start) for start, stop in spans[:-1]]
    assert asked[:3] == [FIRST_WINDOW_BYTES * WINDOW_GROWTH**number for number in range(3)]
    assert max(asked) == MAX_WINDOW_BYTES
    assert len(asked) < 9
    assert spans[-1][1] == ""
    assert store.cut == 0


def test_a_jump_begins_with_few_bytes_again() -> None:
    """Whoever jumps once may jump again; what is left of a short reply is read out."""
    store = Store(HUGE)
    with opened(store) as file:
        file.seek(MIB)
        file.read(600_000)
        for at in (20 * MIB, 10 * MIB):
            file.seek(at)
            file.read(10)
            assert store.asked[-1] == f"bytes={at}-{at + FIRST_WINDOW_BYTES - 1}"
    assert len(store.asked) == 3
    assert store.cut == 0


def test_a_long_reply_is_cut_where_a_jump_leaves_it() -> None:
    """Reading all the rest would cost more than a connection."""
    store = Store(HUGE)
    with opened(store) as file:
        file.read(10)
        file.seek(16 * MIB)
        file.read(10)
    assert (len(store.asked), store.cut) == (2, 1)


def test_the_last_bytes_come_with_those_before_them() -> None:
    """An index at the end is found by its last bytes, and read backwards."""
    store = Store(LARGE)
    with opened(store) as file:
        file.seek(-22, io.SEEK_END)
        assert file.read() == LARGE[-22:]
        for back in range(4096, FIRST_WINDOW_BYTES + 1, 4096):
            file.seek(-back, io.SEEK_END)
            assert file.read(4096) == LARGE[-back:][:4096]
        file.seek(0)
        assert file.read(8) == LARGE[:8]
    assert store.asked == [
        f"bytes={len(LARGE) - FIRST_WINDOW_BYTES}-",
        f"bytes=0-{FIRST_WINDOW_BYTES - 1}",
    ]


def test_what_was_read_before_is_not_asked_for_again() -> None:
    """Two places in turn, as an archive's index and its members are."""
    store = Store(HUGE)
    with opened(store) as file:
        for step in range(100):
            for base in (5 * MIB, 25 * MIB):
                file.seek(base + 100 * step)
                assert file.read(100) == HUGE[base + 100 * step :][:100]
    assert len(store.asked) == 2


def test_the_first_bytes_are_read_twice_by_one_stream() -> None:
    """A format is told by them, and then the file is read from its start."""
    store = Store(LARGE)
    with opened(store) as file:
        assert file.read(6) == LARGE[:6]
        file.seek(0, io.SEEK_END)
        file.seek(0)
        assert b"".join(iter(lambda: file.read(5000), b"")) == LARGE
    assert store.asked == [""]


def test_small_steps_forward_are_read_over() -> None:
    """A request costs about as much as the bytes between."""
    store = Store(LARGE)
    with opened(store) as file:
        for at in range(0, len(LARGE), MAX_SKIP_BYTES):
            file.seek(at)
            assert file.read(512) == LARGE[at : at + 512]
    assert store.asked == [""]


def test_what_is_remembered_is_bounded() -> None:
    """The bytes that were used last stay, in whatever order they came."""
    remembered = Remembered(100)
    for start in range(0, 200, 20):
        remembered.keep(start, bytes([start]) * 20)
    assert [remembered.at(start) is not None for start in range(0, 200, 20)] == [False] * 5 + [
        True
    ] * 5
    assert bytes(remembered.at(105) or b"") == bytes([100]) * 15
    remembered.keep(500, bytes(20))
    assert remembered.at(100) is not None
    assert remembered.at(120) is None
    remembered.keep(0, bytes(101))
    assert all(remembered.at(start) is None for start in (0, 100, 500))


def test_opening_and_seeking_ask_for_nothing() -> None:
    """Bytes are asked for when they are read; at the end there are none to ask for."""
    store = Store(SMALL)
    with ObjectReader(info_of(SMALL), store) as reader:
        assert reader.readable()
        assert reader.seekable()
        assert reader.seek(0, io.SEEK_END) == len(SMALL)
        assert reader.read(10) == b""
        assert reader.seek(10_000) == 10_000
        assert (reader.read(10), reader.read(), reader.readinto(bytearray(5))) == (b"", b"", 0)
    assert store.asked == []


def test_an_empty_object_is_an_empty_file() -> None:
    """No request is made for no bytes."""
    store = Store(b"")
    with opened(store) as file:
        assert (file.read(), file.read(1), file.tell()) == (b"", b"", 0)
    assert store.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2"},
        {"size_bytes": 5},
        {"checksum": Checksum("xxhash2", "0" * 16)},
        {"etag": "other"},
    ],
    ids=str,
)
def test_an_object_that_was_replaced_meanwhile_is_found(changes: dict[str, Any]) -> None:
    """Half of the old bytes and half of the new are neither: by a jump, and by reading on."""
    said = {"version": "1", "etag": "e"}
    store = Store(LARGE, info_of(LARGE, **said))
    with opened(store) as file:
        file.seek(MIB)
        file.read(FIRST_WINDOW_BYTES)
        store.info = info_of(LARGE, **(said | changes))
        with pytest.raises(IntegrityError, match="ais://b/o: the object was replaced"):
            file.read(10)
        file.seek(2 * MIB)
        with pytest.raises(IntegrityError, match="ais://b/o: the object was replaced"):
            file.read(10)
        file.seek(MIB)
        assert file.read(10) == LARGE[MIB : MIB + 10]


def test_an_object_that_was_replaced_by_a_shorter_one_is_found() -> None:
    """The store refuses a range that begins behind the end of the new object."""

    def refuse(byte_range: ByteRange | None) -> Body:
        raise RangeError(f"416 {byte_range}", url="ais://b/o", status=416)

    with open_seekable(info_of(LARGE, version="1"), refuse) as file:
        file.seek(2 * MIB)
        with pytest.raises(IntegrityError, match="ais://b/o: the object was replaced"):
            file.read(10)


class Breaking(Store):
    """Its first replies break off after so many bytes."""

    def __init__(self, data: bytes, *breaks: int) -> None:
        super().__init__(data)
        self._breaks = list(breaks)

    def __call__(self, byte_range: ByteRange | None) -> Body:
        body = super().__call__(byte_range)
        if self._breaks:
            body = Body(
                io.BytesIO(body.readall()[: self._breaks.pop(0)]), self.info, body.size_bytes
            )
        return body


@pytest.mark.parametrize("at", [0, MIB])
def test_a_reader_goes_on_after_a_cut_reply(at: int) -> None:
    """The cut is reported; the next read asks for what follows, in the same manner."""
    store = Breaking(LARGE, 300_000)
    reader = ObjectReader(store.info, store)
    reader.seek(at)
    assert reader.read(300_000) == LARGE[at:][:300_000]
    with pytest.raises(TruncatedError, match=r"expected [\d,]+ bytes, got 300,000"):
        reader.read(300_000)
    assert reader.tell() == at + 300_000
    assert reader.read(300_000) == LARGE[at:][300_000:600_000]
    reader.close()
    assert len(store.asked) == 2


@pytest.mark.parametrize(("at", "breaks"), [(0, [500, 600, 70_000, 10]), (MIB, [500, 600])])
def test_a_reader_with_a_budget_mends_cuts_by_itself(at: int, breaks: list[int]) -> None:
    """For stores whose bodies do not; the budget is for one trouble, not for the file."""
    attempts = Attempts(RetryPolicy(attempts=3), Waiter(lambda: 0.0, lambda seconds: None))
    store = Breaking(LARGE, *breaks)
    with open_seekable(store.info, store, attempts=attempts) as file:
        file.seek(at)
        assert b"".join(iter(lambda: file.read(5000), b"")) == LARGE[at:]
    store = Breaking(LARGE, *breaks[:2])
    with open_seekable(store.info, store, attempts=attempts) as file:
        file.seek(at)
        assert file.read() == LARGE[at:]
    assert len(store.asked) == 3


class Interrupt(BaseException):
    """As KeyboardInterrupt, which pytest would obey."""


class Interrupted(io.BytesIO):
    """A reply whose first read takes bytes that nobody gets."""

    def readinto(self, buffer: Any, /) -> int:
        super().readinto(buffer)
        raise Interrupt


@pytest.mark.parametrize("at", [0, MIB])
@pytest.mark.parametrize("size", [100, 600_000, -1])
def test_a_reader_can_be_used_after_an_interrupt(at: int, size: int) -> None:
    """In a notebook, say: nothing is missing between what came before and what comes then."""
    info, store = info_of(LARGE), Store(LARGE)
    bodies = [Body(Interrupted(LARGE[at:]), info, len(LARGE) - at)]
    with open_seekable(info, lambda part: bodies.pop() if bodies else store(part)) as file:
        file.seek(at)
        with pytest.raises(Interrupt):
            file.read(size)
        assert file.read(5) + file.read() == LARGE[at:]


def test_what_cannot_be_opened_is_not_tried_again() -> None:
    """Whoever opens has done so."""
    asked: list[ByteRange | None] = []

    def open_range(byte_range: ByteRange | None) -> Body:
        asked.append(byte_range)
        raise UnavailableError("GET ais://b/o: 503", url="ais://b/o")

    with (
        open_seekable(info_of(LARGE), open_range, attempts=Attempts(RetryPolicy())) as file,
        pytest.raises(UnavailableError, match="503$"),
    ):
        file.read(1)
    assert asked == [None]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_reply_of_unknown_length_that_ends_early_is_cut(data: bytes) -> None:
    """The reader knows the object's size."""
    info = info_of(data)
    with (
        ObjectReader(info, lambda part: Body(io.BytesIO(b"abc"), info, None)) as reader,
        pytest.raises(TruncatedError, match=f"expected {len(data):,} bytes, got 3"),
    ):
        reader.readall()


def test_an_object_of_unknown_size_is_not_taken_for_an_empty_one() -> None:
    """Where its end is would have to be guessed."""
    info = msgspec.structs.replace(info_of(SMALL), size_bytes=None)
    with pytest.raises(IntegrityError, match="ais://b/o: the store does not say how many bytes"):
        ObjectReader(info, Store(SMALL))


@pytest.mark.parametrize("whence", [-1, 3])
def test_an_unknown_whence_is_refused(whence: int) -> None:
    """The text has the object and the number."""
    with (
        ObjectReader(info_of(SMALL), Store(SMALL)) as reader,
        pytest.raises(ValueError, match=f"ais://b/o: whence must be 0, 1 or 2, not {whence}"),
    ):
        reader.seek(0, whence)


@pytest.mark.parametrize(
    "use",
    [lambda r: r.read(1), lambda r: r.readall(), lambda r: r.seek(0), lambda r: r.tell()],
    ids=["read", "readall", "seek", "tell"],
)
def test_a_closed_reader_cannot_be_used(use: Any) -> None:
    """As any file."""
    reader = ObjectReader(info_of(SMALL), Store(SMALL))
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        use(reader)


def test_a_reader_that_is_read_into_takes_no_copy_of_it() -> None:
    """Large reads go straight into the caller's memory, a piece each."""
    store = Store(HUGE)
    buffer = bytearray(len(HUGE))
    with opened(store) as file:
        assert file.readinto(buffer) == len(HUGE)
    assert buffer == HUGE
    assert store.asked == [""]


START = Span(0, 0, None)
FAR = 10 * MIB


@pytest.mark.parametrize(
    ("position", "wanted", "last", "expected"),
    [
        # From the start, and on behind a stream that was cut: all the rest, as one stream.
        (0, 10, START, Span(0, HUGE_BYTES, None)),
        (5000, 10, Span(0, 5000, None), Span(5000, HUGE_BYTES, None)),
        # Elsewhere: one window, or a large read with a buffer's fill.
        (FAR, 10, START, Span(FAR, FAR + 64 * KIB, 64 * KIB)),
        (FAR, BUFFER_BYTES, START, Span(FAR, FAR + 64 * KIB, 64 * KIB)),
        (FAR, MIB, START, Span(FAR, FAR + MIB + BUFFER_BYTES, 64 * KIB)),
        # Behind a window, or near it: four times as much, up to the largest.
        (FAR, 10, Span(0, FAR, 64 * KIB), Span(FAR, FAR + 256 * KIB, 256 * KIB)),
        (FAR + 5, 10, Span(0, FAR, 64 * KIB), Span(FAR + 5, FAR + 5 + 256 * KIB, 256 * KIB)),
        (FAR, 10, Span(0, FAR, 4 * MIB), Span(FAR, FAR + 8 * MIB, 8 * MIB)),
        # Near a stream, but not behind it; too far on; back.
        (FAR + 5, 10, Span(0, FAR, None), Span(FAR + 5, FAR + 5 + 64 * KIB, 64 * KIB)),
        (FAR + MIB, 10, Span(0, FAR, MIB), Span(FAR + MIB, FAR + MIB + 64 * KIB, 64 * KIB)),
        (FAR - 1, 10, Span(0, FAR, MIB), Span(FAR - 1, FAR - 1 + 64 * KIB, 64 * KIB)),
        # Near the end: to the end; after a jump also the bytes before.
        (HUGE_BYTES - 100 * KIB, 10, START, Span(HUGE_BYTES - 100 * KIB, HUGE_BYTES, 64 * KIB)),
        (HUGE_BYTES - 22, 22, START, Span(HUGE_BYTES - 64 * KIB, HUGE_BYTES, 64 * KIB)),
        (
            HUGE_BYTES - 22,
            22,
            Span(0, HUGE_BYTES - 22, 64 * KIB),
            Span(HUGE_BYTES - 22, HUGE_BYTES, 256 * KIB),
        ),
    ],
)
def test_what_a_read_requests(position: int, wanted: int, last: Span, expected: Span) -> None:
    """The whole of the rules, for a large object."""
    assert next_span(position, wanted, last, HUGE_BYTES) == expected


def test_a_read_of_a_small_object_requests_all_of_it() -> None:
    """Wherever it is, and whatever was before."""
    assert next_span(7, 1, START, BUFFER_BYTES) == Span(0, BUFFER_BYTES, None)
    assert next_span(7, 1, Span(0, 5, MIB), 9) == Span(0, 9, MIB)
