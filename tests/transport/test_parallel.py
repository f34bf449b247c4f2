"""Large bodies by parallel ranges: the same bytes, the same checks, no thread left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from aisio import stats
from aisio.errors import AccessError, ConfigError, IntegrityError, StorageError
from aisio.records import Checksum, ObjectInfo
from aisio.transport.body import Body
from aisio.transport.parallel import (
    PARALLEL_FROM_BYTES,
    PART_BYTES,
    STREAMS,
    plan_parts,
    read_bytes,
    read_into,
)
from aisio.transport.targets import BufferTarget, FileTarget

LARGE = xxhash.xxh64_digest(b"a") * (40 * 1024 * 1024 // 8 + 1)
SUM = Checksum("xxhash2", xxhash.xxh64_hexdigest(LARGE))
SPANS = [(part.start, part.stop) for part in plan_parts(len(LARGE))]


class Opener:
    """Opens parts of some bytes, fails where it is told to, and keeps count."""

    def __init__(self, data: bytes, failing: dict[int, BaseException] | None = None) -> None:
        self.data = data
        self.failing = failing or {}
        self.opened: list[tuple[int, int]] = []
        self.left: list[str] = []

    def open(self, start: int, stop: int, stopped: Callable[[], bool]) -> Body:
        """Open bytes [start, stop)."""
        self.opened.append((start, stop))
        for offset, error in self.failing.items():
            if start <= offset < stop:
                raise error
        return Body(io.BytesIO(self.data[start:stop]), info_of(self.data), stop - start)

    def close_thread_connections(self) -> None:
        """Remember which thread has gone."""
        self.left.append(threading.current_thread().name)


def info_of(data: bytes) -> ObjectInfo:
    """Return what a store would say of these bytes."""
    return ObjectInfo("ais://b", "o", len(data), SUM)


def body_of(data: bytes = LARGE, opener: Opener | None = None, size: int | None = -1) -> Body:
    """Return a body that was promised LARGE."""
    size = len(data) if size == -1 else size
    checksum = SUM if data[:1] and len(data) == len(LARGE) else None
    return Body(io.BytesIO(data), info_of(data), size, checksum, parts=opener)


@given(st.integers(0, 5 * PARALLEL_FROM_BYTES), st.integers(1 << 20, PART_BYTES), st.integers(1, 9))
def test_parts_are_the_whole(size: int, part_bytes: int, streams: int) -> None:
    """In a row, none too large, enough for all streams; a small object is one part."""
    parts = plan_parts(size, part_bytes=part_bytes, streams=streams)
    ends = [0, *(part.stop for part in parts)]
    assert [part.start for part in parts] == ends[:-1]
    assert ends[-1] == size
    if size < PARALLEL_FROM_BYTES:
        assert len(parts) == (size > 0)
    else:
        assert len(parts) >= streams
        assert max((part.stop or 0) - part.start for part in parts) <= part_bytes


def test_a_large_body_is_read_by_ranges() -> None:
    """AIS-23: each part once, the first reply let go, and the threads have ended and let go too."""
    opener, seen = Opener(LARGE), list[int]()
    raw = io.BytesIO(LARGE)
    body = Body(raw, info_of(LARGE), len(LARGE), SUM, parts=opener)
    buffer = bytearray(len(LARGE) + 5)
    assert read_into(body, BufferTarget(buffer), show=seen.append) == len(LARGE)
    assert buffer == LARGE + bytes(5)
    assert sorted(opener.opened) == SPANS
    assert raw.closed
    assert seen == sorted(seen)
    assert seen[-1] == len(LARGE)
    assert sorted(opener.left) == [f"aisio-range-{number}" for number in range(1, STREAMS)]
    assert not [one for one in threading.enumerate() if one.name.startswith("aisio-range")]


def test_bytes_that_come_by_parts_are_counted_once() -> None:
    """By the part that reads them, not again where the whole is verified."""
    before = stats.totals()
    assert read_bytes(body_of(LARGE, Opener(LARGE))) == LARGE
    since = stats.since(before)
    assert since["bytes_read"] == len(LARGE)
    assert since["verify_s"] > 0


def test_bytes_are_bytes() -> None:
    """Large ones by ranges, small ones and those without ranges from the one reply."""
    for data, opener in ((LARGE, Opener(LARGE)), (LARGE, None), (b"abc", Opener(b"")), (b"", None)):
        got = read_bytes(body_of(data, opener))
        assert type(got) is bytes
        assert got == data
        assert opener is None or bool(opener.opened) == (data is LARGE)


def test_the_rest_of_a_body_is_read_and_the_whole_is_verified() -> None:
    """Whatever was read before belongs to the checksum."""
    for damaged in (False, True):
        data = b"?" + LARGE[1:] if damaged else LARGE
        body = body_of(data, Opener(data))
        assert body.read(1000) == data[:1000]
        if damaged:
            with pytest.raises(IntegrityError, match="wrong xxhash2 checksum"):
                read_bytes(body)
        else:
            assert read_bytes(body) == LARGE[1000:]


@pytest.mark.parametrize("at_byte", [0, len(LARGE) // 2, len(LARGE) - 1])
@pytest.mark.parametrize("to_file", [False, True])
def test_one_wrong_byte_is_an_integrity_error(tmp_path: Path, at_byte: int, to_file: bool) -> None:
    """Wherever it is; the body is of no use afterwards."""
    wrong = bytearray(LARGE)
    wrong[at_byte] ^= 1
    body = body_of(LARGE, Opener(bytes(wrong)))
    with (tmp_path / "a").open("w+b") as file:
        target = FileTarget(file.fileno()) if to_file else BufferTarget(bytearray(len(LARGE)))
        with pytest.raises(IntegrityError, match="ais://b/o: wrong xxhash2 checksum"):
            read_into(body, target)
    assert body.closed


@pytest.mark.parametrize("offset", [0, len(LARGE) - 1])
@pytest.mark.parametrize(
    "error", [AccessError("no"), IntegrityError("replaced"), KeyboardInterrupt()], ids=repr
)
def test_a_failed_part_ends_it_all(offset: int, error: BaseException) -> None:
    """Its error comes as itself, and no thread goes on writing."""
    body = body_of(LARGE, Opener(LARGE, {offset: error}))
    with pytest.raises(type(error)) as caught:
        read_into(body, BufferTarget(bytearray(len(LARGE))))
    assert caught.value is error
    assert body.closed
    assert not [one for one in threading.enumerate() if one.name.startswith("aisio-range")]


def test_a_file_gets_the_bytes(tmp_path: Path) -> None:
    """Also in the place of more than there are now."""
    with (tmp_path / "a").open("w+b") as file:
        target = FileTarget(file.fileno())
        assert read_into(body_of(LARGE, Opener(LARGE)), target) == len(LARGE)
        assert (tmp_path / "a").read_bytes() == LARGE
        assert read_into(body_of(b"few"), target) == 3
        assert (tmp_path / "a").read_bytes() == b"few"
        assert read_into(body_of(b"fewer", size=None), target) == 5
        assert (tmp_path / "a").read_bytes() == b"fewer"
        assert read_into(body_of(b""), target) == 0
        assert (tmp_path / "a").read_bytes() == b""


def test_a_file_that_someone_else_cuts_is_found_out(tmp_path: Path) -> None:
    """What is verified is what stands in the file."""

    class Cut(FileTarget):
        def fill(
            self, body: Body, start: int, stop: int | None, tell: Callable[[int], None]
        ) -> int:
            count = super().fill(body, start, stop, tell)
            (tmp_path / "a").write_bytes(b"")
            return count

    with (tmp_path / "a").open("w+b") as file, pytest.raises(StorageError):
        read_into(body_of(LARGE, Opener(LARGE)), Cut(file.fileno()))


def test_a_buffer_without_room_is_refused_before_anything_is_read() -> None:
    """Too small, read-only, or no buffer at all."""
    body = body_of(b"abcdef")
    with pytest.raises(ConfigError, match="ais://b/o: 6 bytes do not fit into a buffer of 5"):
        read_into(body, BufferTarget(bytearray(5)))
    assert body.got_bytes == 0
    with pytest.raises(ConfigError, match="into=bytes: the buffer is read-only"):
        BufferTarget(b"abcdef")
    with pytest.raises(ConfigError, match="into=int"):
        BufferTarget(5)


def test_a_body_of_unknown_size_fits_or_not() -> None:
    """That shows at its end."""
    buffer = bytearray(6)
    assert read_into(body_of(b"abcdef", size=None), BufferTarget(buffer)) == 6
    assert buffer == b"abcdef"
    with pytest.raises(ConfigError, match="more than the 6 bytes"):
        read_into(body_of(b"abcdefg", size=None), BufferTarget(buffer))


def test_where_the_system_has_no_more_threads_the_caller_reads_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container with a bound on them."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert read_bytes(body_of(LARGE, Opener(LARGE))) == LARGE
