"""Body: the bytes as promised, or an error that says what is wrong."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import IntegrityError, StorageError, StoreTimeoutError, TruncatedError
from aisio.records import Checksum, ObjectInfo
from aisio.transport.body import READ_PIECE_BYTES, Body
from aisio.transport.low_speed import LowSpeedLimit
from tests.transport.responses import Dribble, info_of

URL = "ais://b/o"
DATA = bytes(range(256)) * 3


def body_of(sent: bytes, promised: bytes | None = None, *, most: int = 1 << 20) -> Body:
    """Return a body that was promised other bytes than are sent, perhaps."""
    info = info_of(sent if promised is None else promised)
    return Body(Dribble(sent, most), info, info.size_bytes, info.checksum)


def read_whole(body: Body) -> bytes:
    """Read in one call."""
    return body.read()


def read_in_pieces(body: Body) -> bytes:
    """Read until b""."""
    return b"".join(iter(lambda: body.read(100), b""))


def read_into(body: Body) -> bytes:
    """Read into one buffer, again and again."""
    got, buffer = b"", bytearray(100)
    while count := body.readinto(buffer):
        got += buffer[:count]
    return got


def read_buffered(body: Body) -> bytes:
    """Read as Python's own buffering does."""
    return io.BufferedReader(body).read()


every_way = pytest.mark.parametrize(
    "read", [read_whole, Body.readall, read_in_pieces, read_into, read_buffered]
)


@every_way
@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_a_right_body_is_given_as_it_is(read: Any, data: bytes) -> None:
    """Whatever way it is read, and b"" after its end."""
    body = body_of(data)
    assert read(body) == data
    assert body.readable()


@every_way
def test_a_short_body_is_cut_and_never_an_early_end(read: Any) -> None:
    """The error has URL, expected and got."""
    with pytest.raises(TruncatedError, match=r"ais://b/o: cut short: expected 768 bytes, got 500"):
        read(body_of(DATA[:500], DATA))


@every_way
def test_a_body_that_never_began_is_cut(read: Any) -> None:
    """Zero of many bytes is not an empty object."""
    with pytest.raises(TruncatedError, match="expected 768 bytes, got 0"):
        read(body_of(b"", DATA))


@every_way
def test_wrong_bytes_are_an_integrity_error(read: Any) -> None:
    """The error has URL, kind, expected and got."""
    wrong = DATA[:-1] + b"\x00"
    with pytest.raises(IntegrityError) as caught:
        read(body_of(wrong, DATA))
    text = str(caught.value)
    assert caught.value.url == URL
    assert "wrong xxhash2 checksum over 768 bytes" in text
    assert f"expected {xxhash.xxh64_hexdigest(DATA)}, got {xxhash.xxh64_hexdigest(wrong)}" in text


def test_a_wrong_checksum_of_an_empty_object_is_found() -> None:
    """There is no last byte to check it at."""
    body = Body(io.BytesIO(), info_of(b""), 0, Checksum("md5", "0" * 32))
    with pytest.raises(IntegrityError, match="wrong md5 checksum over 0 bytes"):
        body.read()


@every_way
def test_a_body_of_unknown_size_ends_where_it_ends(read: Any) -> None:
    """And its checksum still counts."""
    checksum = info_of(DATA).checksum
    assert read(Body(Dribble(DATA, 50), info_of(DATA), None, checksum)) == DATA
    with pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
        read(Body(Dribble(DATA[:-1], 50), info_of(DATA), None, checksum))


@every_way
def test_a_range_of_a_file_does_not_read_on(read: Any) -> None:
    """A local file goes on behind the range; a reply would not."""
    assert read(Body(io.BytesIO(DATA), info_of(DATA), 300)) == DATA[:300]


@every_way
def test_a_checksum_of_unknown_kind_is_not_compared(read: Any) -> None:
    """The length still is."""
    checksum = Checksum("md6", "00")
    assert read(Body(io.BytesIO(b"abc"), info_of(b"abc"), 3, checksum)) == b"abc"


@given(
    data=st.binary(max_size=400),
    most=st.integers(1, 60),
    steps=st.lists(st.tuples(st.sampled_from(["read", "readinto"]), st.integers(0, 90))),
    known=st.booleans(),
)
def test_any_chunking_gives_the_same_bytes(
    data: bytes, most: int, steps: list[tuple[str, int]], known: bool
) -> None:
    """Read and readinto in any order and size, then the rest, whatever the socket gives."""
    info = info_of(data)
    body = Body(Dribble(data, most), info, len(data) if known else None, info.checksum)
    got = b""
    for way, size in steps:
        buffer = bytearray(size)
        got += body.read(size) if way == "read" else buffer[: body.readinto(buffer)]
    assert got + body.readall() == data
    assert (body.read(), body.read(5), body.readinto(bytearray(5))) == (b"", b"", 0)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_a_read_of_so_many_bytes_gives_so_many(most: int) -> None:
    """Whatever the socket gives at once: who unpacks a header need not loop."""
    body = body_of(DATA, most=most)
    assert [len(body.read(size)) for size in (1, 300, 400, 400, 400)] == [1, 300, 400, 67, 0]


def test_reading_nothing_is_no_end() -> None:
    """read(0) and an empty buffer say nothing about what is left."""
    body = body_of(DATA)
    assert (body.read(0), body.readinto(bytearray())) == (b"", 0)
    assert body.read() == DATA


def test_any_buffer_may_be_filled() -> None:
    """Also one whose items are wider than a byte."""
    buffer = memoryview(bytearray(768)).cast("I")
    assert body_of(DATA).readinto(buffer) == 768
    assert bytes(buffer) == DATA


def test_closing_early_checks_nothing_and_lets_go() -> None:
    """What was not read cannot be verified."""
    raw = io.BytesIO(DATA[:500])
    with Body(raw, info_of(DATA), len(DATA)) as body:
        assert body.read(10) == DATA[:10]
    assert body.closed
    assert raw.closed
    body.close()


def test_a_read_out_body_lets_go_by_itself() -> None:
    """The connection is free for the next request before anyone closes the body."""
    raw = io.BytesIO(DATA)
    body = Body(raw, info_of(DATA), len(DATA))
    body.read()
    assert raw.closed
    assert not body.closed


def test_a_failed_body_lets_go_by_itself() -> None:
    """Its connection is of no use to anyone."""
    raw = io.BytesIO(b"abc")
    body = Body(raw, info_of(DATA), len(DATA))
    with pytest.raises(TruncatedError):
        body.read()
    assert raw.closed
    assert body.closed


def test_a_dropped_body_lets_go_too() -> None:
    """Whoever breaks out of a loop need not know that there is a connection."""
    raw = io.BytesIO(DATA)
    body = Body(raw, info_of(DATA), len(DATA))
    body.read(1)
    del body
    assert raw.closed


@every_way
def test_a_closed_body_cannot_be_read(read: Any) -> None:
    """As any file; the text names the object."""
    body = body_of(DATA)
    body.close()
    with pytest.raises(ValueError, match="closed"):
        read(body)


class Broken(io.BytesIO):
    """A reply that breaks after so many bytes; as a buffered socket, it drops a read it is in."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self._at = at

    def read(self, size: int | None = -1, /) -> bytes:
        self._check(size or 0)
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        self._check(len(buffer))
        return super().readinto(buffer)

    def _check(self, size: int) -> None:
        if size < 0 or self.tell() + size > self._at:
            raise StoreTimeoutError("silent")


@pytest.mark.parametrize("read", [read_whole, Body.readall, lambda body: body.read(1 << 30)])
def test_a_large_body_that_breaks_loses_no_more_than_a_piece(read: Any) -> None:
    """It goes on behind the pieces that came, though it is read by one call."""
    data = DATA * (5 * READ_PIECE_BYTES // len(DATA))
    resumed: list[int] = []

    def resume(got: int, error: StorageError) -> io.BytesIO:
        resumed.append(got)
        return io.BytesIO(data[got:])

    info = info_of(data)
    raw = Broken(data, 3 * READ_PIECE_BYTES + 5)
    body = Body(raw, info, len(data), info.checksum, resume)
    assert body.read(1) + read(body) == data
    assert 2 * READ_PIECE_BYTES < resumed[0] <= 3 * READ_PIECE_BYTES + 5
    assert len(resumed) == 1


def test_reading_out_gives_what_is_left_or_nothing() -> None:
    """It is for the connection's sake: a cut then is no error, and nobody goes on behind it."""
    body = body_of(DATA)
    assert body.read(100) + body.drain() == DATA
    resumed: list[int] = []

    def resume(got: int, error: StorageError) -> io.BytesIO:
        resumed.append(got)
        raise error

    info = info_of(DATA)
    cut = Body(io.BytesIO(DATA[:500]), info, len(DATA), info.checksum, resume)
    assert cut.drain() == b""
    assert (cut.closed, resumed) == (True, [])


def test_reading_out_does_not_hide_wrong_bytes() -> None:
    """Some of them may have been used already."""
    with pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
        body_of(DATA[:-1] + b"x", DATA).drain()


class SlowLine(io.BytesIO):
    """A reply that gives `most` bytes a read, each of which takes `pause_s` of a clock's time."""

    def __init__(self, data: bytes, clock: list[float], most: int, pause_s: float) -> None:
        super().__init__(data)
        self._clock = clock
        self._most = most
        self._pause_s = pause_s

    def read(self, size: int | None = -1, /) -> bytes:
        self._clock[0] += self._pause_s
        wanted = self._most if size is None or size < 0 else min(size, self._most)
        return super().read(wanted)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def slow_body(most: int, *, resumes: int, then: int) -> tuple[Body, list[float], list[int]]:
    """Return a body that trickles, `then` bytes a read behind so many resumes; clock; resumes."""
    clock, resumed = [0.0], []

    def resume(got: int, error: StorageError) -> SlowLine:
        assert isinstance(error, StoreTimeoutError)
        resumed.append(got)
        return SlowLine(DATA[got:], clock, then if len(resumed) >= resumes else most, 1.0)

    info, rate = info_of(DATA), LowSpeedLimit(10, 20, lambda: clock[0])
    raw = SlowLine(DATA, clock, most, 1.0)
    body = Body(raw, info, len(DATA), info.checksum, resume, low_speed=rate)
    return body, clock, resumed


@every_way
def test_a_body_that_trickles_is_gone_on_with_elsewhere(read: Any) -> None:
    """It never stalls: each second it gives a byte. What came is kept."""
    body, clock, resumed = slow_body(1, resumes=2, then=1000)
    assert read(body) == DATA
    assert resumed == [20, 40]
    assert clock[0] <= 60


@every_way
def test_a_body_that_is_only_slow_is_waited_for(read: Any) -> None:
    """A new connection would not be faster."""
    body, _, resumed = slow_body(10, resumes=0, then=1)
    assert read(body) == DATA
    assert resumed == []


def test_what_the_consumer_takes_for_itself_is_no_waiting() -> None:
    """Who trains between two reads must not pay for it with a connection."""
    body, clock, resumed = slow_body(10, resumes=0, then=1)
    got = b""
    while piece := body.read(10):
        clock[0] += 1000
        got += piece
    assert (got, resumed) == (DATA, [])


def test_a_trickle_that_nobody_mends_is_a_timeout() -> None:
    """It says how slow is too slow."""
    clock = [0.0]
    raw = SlowLine(DATA, clock, 1, 5.0)
    body = Body(raw, info_of(DATA), len(DATA), low_speed=LowSpeedLimit(1024, 20, lambda: clock[0]))
    with pytest.raises(StoreTimeoutError, match=r"b/o: .* with less than 1,024 bytes/s over 20 s"):
        body.read()
    assert (clock[0], raw.closed, body.closed) == (20, True, True)


def test_a_body_that_ends_just_then_is_right() -> None:
    """Nothing more is wanted of a slow line that has given all."""
    clock = [0.0]
    raw = SlowLine(DATA[:4], clock, 1, 5.0)
    body = Body(raw, info_of(DATA[:4]), 4, low_speed=LowSpeedLimit(1024, 20, lambda: clock[0]))
    assert body.read() == DATA[:4]


class Interrupted(io.BytesIO):
    """A reply in whose reading somebody presses ^C."""

    def read(self, _: int | None = -1, /) -> bytes:
        """Take bytes, and lose them."""
        super().read(3)
        raise KeyboardInterrupt

    def readinto(self, _: Any, /) -> int:
        """Take bytes, and lose them."""
        return len(self.read())


@pytest.mark.parametrize(
    "read", [lambda body: body.read(4), lambda body: body.readinto(bytearray(4))]
)
def test_an_interrupted_body_is_not_read_on(read: Any) -> None:
    """Bytes may be gone that were not counted."""
    raw = Interrupted(b"0123456789")
    body = Body(raw, ObjectInfo("ais://b", "o", 10), 10)
    with pytest.raises(KeyboardInterrupt):
        read(body)
    assert (body.closed, raw.closed) == (True, True)


def outcome_in_a_fork(act: Any) -> str:
    """Return what a forked child says of what it did: the text of the error, or the result."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            said = repr(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@every_way
def test_a_body_is_not_read_on_both_sides_of_a_fork(read: Any, tmp_path: Path) -> None:
    """Each would get some of the bytes; the child is told, and may close it."""
    (tmp_path / "o").write_bytes(DATA)
    body = Body((tmp_path / "o").open("rb", buffering=0), info_of(DATA), len(DATA))
    assert body.read(10) == DATA[:10]
    said = outcome_in_a_fork(lambda: read(body))
    assert said.startswith(f"StorageError: GET {URL}: it was opened before the fork; open it again")
    assert outcome_in_a_fork(body.close) == "None"
    assert body.read() == DATA[10:]


def test_a_forked_child_reads_what_it_opens_itself() -> None:
    """And so does a child of it."""

    def grandchild() -> str:
        body = body_of(DATA)
        return f"{body.read() == DATA} {outcome_in_a_fork(lambda: body_of(DATA).read() == DATA)}"

    assert outcome_in_a_fork(grandchild) == "'True True'"
