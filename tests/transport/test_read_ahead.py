"""ReadAheadReader: the bytes of the object, read ahead within a bound, and verified."""

from __future__ import annotations

import gc
import io
import multiprocessing
import random
import threading
from collections.abc import Callable

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.errors import (
    IntegrityError,
    NotFoundError,
    StorageError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.transport.body import Body
from aisio.transport.range_reads import RangeOpener
from aisio.transport.read_ahead import DIRECT_BYTES, FIRST_BYTES, ReadAheadReader

KIB, MIB = 1024, 1024 * 1024
DATA = random.Random(1).randbytes(6 * MIB + 12_345)
PART = 512 * KIB


class Store:
    """Has one object; counts what is asked of it."""

    def __init__(self, data: bytes = DATA, *, has_checksum: bool = True) -> None:
        self.data = data
        self.info = ObjectInfo("b", "o", len(data), version="1")
        if has_checksum:
            self.info = ObjectInfo(
                "b", "o", len(data), Checksum("xxhash2", xxhash.xxh64_hexdigest(data)), "1"
            )
        self.ranges: list[ByteRange] = []
        self.errors: list[StorageError] = []
        self.cuts: list[int] = []
        self.lock = threading.Lock()

    def open(self, byte_range: ByteRange | None) -> Body:
        """Open a range."""
        asked = byte_range or ByteRange(0, len(self.data))
        with self.lock:
            self.ranges.append(asked)
            if self.errors:
                raise self.errors.pop()
            cut = self.cuts.pop() if self.cuts else None
        data = self.data[asked.start : asked.stop]
        return Body(io.BytesIO(data[:cut]), self.info, len(data))

    def reader(self, concurrency: int = 3, part_bytes: int = PART) -> ReadAheadReader:
        """Open the object."""
        opener = RangeOpener(self.open, RetryPolicy(attempts=3, first_wait_s=0))
        return ReadAheadReader(self.info, opener, part_bytes=part_bytes, concurrency=concurrency)

    def read_bytes(self) -> int:
        """Return how many bytes were asked for so far."""
        return sum((one.stop or 0) - one.start for one in self.ranges)


def read_through(file: ReadAheadReader, size: int) -> bytes:
    """Read to the end, so many bytes at a time."""
    return b"".join(iter(lambda: file.read(size) or b"", b""))


@pytest.mark.parametrize("size", [7_777, 100 * KIB, 700 * KIB, 3 * MIB, 100 * MIB])
def test_reading_on_gives_all_bytes_once(size: int) -> None:
    """By whatever steps; no byte is asked for twice."""
    store = Store()
    with store.reader() as file:
        assert read_through(file, size) == DATA
        assert file.read(1) == b""
    assert store.read_bytes() == len(DATA)


def test_read_all() -> None:
    """From the position on."""
    store = Store()
    with store.reader() as file:
        file.seek(1000)
        assert file.read() == DATA[1000:]
        assert file.read() == b""
    with store.reader() as file:
        file.seek(len(DATA) + 5)
        assert (file.read(), file.read(3)) == (b"", b"")


@pytest.mark.parametrize("size", [100, 3 * MIB])
def test_a_part_can_be_asked_for_before_it_is_read(size: int) -> None:
    """Then no byte of it is asked for again; an error is that of the read."""
    store = Store()
    with store.reader() as file:
        file.prefetch()
        file.prefetch()
        assert read_through(file, size) == DATA
    assert store.read_bytes() == len(DATA)
    store.errors = [NotFoundError("gone")]
    with store.reader() as file:
        file.prefetch()
        with pytest.raises(NotFoundError):
            file.read(1)
    with Store(b"").reader() as file:
        file.prefetch()
        assert file.read() == b""


def test_an_empty_object() -> None:
    """Is read without a request."""
    store = Store(b"")
    with store.reader() as file:
        assert (file.read(), file.read(5), file.seek(0, 2)) == (b"", b"", 0)
    assert store.ranges == []


STEPS = st.lists(
    st.tuples(st.integers(0, len(DATA) + 10), st.integers(1, 2 * MIB), st.integers(1, 12)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25)
@given(STEPS, st.integers(1, 4))
def test_seeks_change_nothing(steps: list[tuple[int, int, int]], concurrency: int) -> None:
    """Any reads, in any order, give the bytes that are there."""
    with Store().reader(concurrency) as file:
        for position, size, times in steps:
            file.seek(position)
            for _ in range(times):
                start = file.tell()
                got = file.read(size)
                assert got == DATA[start : start + len(got or b"")]
                assert got or start >= len(DATA)


def test_a_large_read_asks_for_its_bytes_alone() -> None:
    """By several requests, straight into the caller's memory."""
    store, buffer = Store(), bytearray(5 * MIB)
    with store.reader(part_bytes=16 * MIB) as file:
        file.seek(999)
        assert file.readinto(buffer) == len(buffer)
    assert buffer == DATA[999 : 999 + len(buffer)]
    assert sorted(one.start for one in store.ranges) == [999, 999 + 2 * MIB, 999 + 4 * MIB]
    assert store.read_bytes() == len(buffer)


def test_a_small_read_asks_for_little() -> None:
    """And the same bytes are not asked for again, nor those before the end."""
    store = Store()
    with store.reader() as file:
        for position in (3 * MIB, 3 * MIB + 1000, 3 * MIB, len(DATA) - 22, len(DATA) - 9000):
            file.seek(position)
            assert file.read(20) == DATA[position : position + 20]
    assert store.read_bytes() == 2 * FIRST_BYTES


def test_the_order_of_torch_load_reads_little_in_vain() -> None:
    """The end, the start, then headers and data in another order than that of the file."""
    store = Store()
    with io.BufferedReader(store.reader(), 64 * KIB) as file:
        for position in (len(DATA) - 100, 0, 4 * MIB, 1 * MIB, 5 * MIB, 2 * MIB, 3 * MIB):
            file.seek(position)
            file.read(30)
            file.readinto(bytearray(MIB - 100))
    assert store.read_bytes() < 1.2 * len(DATA)


class Watched(Store):
    """One can wait for what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def open(self, byte_range: ByteRange | None) -> Body:
        body = super().open(byte_range)
        with self.changed:
            self.changed.notify_all()
        return body

    def asked_to(self) -> int:
        """Return where the last range that was asked for ends."""
        return max((one.stop or 0) for one in self.ranges)


def test_parts_are_read_ahead_within_a_bound() -> None:
    """Of a file that is read on and on: as many as allowed, and no more are kept."""
    store = Watched()
    file = store.reader(concurrency=2)
    while file.tell() < 4 * MIB:
        file.read(64 * KIB)
    with store.changed:
        store.changed.wait_for(lambda: store.asked_to() >= 4 * MIB + PART)
    assert store.asked_to() <= 4 * MIB + 3 * PART
    for position in (4 * MIB - 1, 1000):
        file.seek(position)
        assert file.read(1) == DATA[position : position + 1]
    starts = [one.start for one in store.ranges]
    assert (4 * MIB - 1 in starts, 1000 in starts) == (False, True)  # the start is kept no longer
    file.close()


def test_a_close_ends_what_is_read_ahead() -> None:
    """No thread is left, also if the reader is just dropped."""
    for end in (ReadAheadReader.close, lambda file: None):
        file = Store().reader()
        for _ in range(20):
            file.read(64 * KIB)
        end(file)
        del file
        gc.collect()
        names = [one.name for one in threading.enumerate()]
        assert not [name for name in names if name.startswith("aisio-read-ahead")]


def test_a_closed_file_refuses() -> None:
    """As files of io do."""
    file = Store().reader()
    file.close()
    for call in (lambda: file.read(1), file.readall, file.tell):
        with pytest.raises(ValueError, match="b/o: .* of a closed file"):
            call()


def test_a_cut_is_read_on_and_an_error_tried_again() -> None:
    """Behind the last good byte."""
    store = Store()
    store.cuts = [100_000]
    store.errors = [UnavailableError("GET b/o: 503")]
    with store.reader() as file:
        assert file.read(64 * KIB) == DATA[: 64 * KIB]
    assert [(one.start, one.stop) for one in store.ranges] == [
        (0, FIRST_BYTES),
        (0, FIRST_BYTES),
        (100_000, FIRST_BYTES),
    ]


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_what_fails_for_good_is_raised_and_can_be_read_later(size: int) -> None:
    """The position stays."""
    store = Store()
    store.errors = [UnavailableError("GET b/o: 503") for _ in range(9)]
    with store.reader() as file:
        file.seek(5)
        with pytest.raises(UnavailableError, match="503 .gave up after 3 tries"):
            file.read(size)
        store.errors.clear()
        assert file.tell() == 5
        assert file.read(size) == DATA[5 : 5 + size]
    store.cuts = [0] * 3
    with (
        store.reader() as file,
        pytest.raises(TruncatedError, match="cut short: expected 262,144"),
    ):
        file.read(1)


def test_versions_never_mix() -> None:
    """A replaced object is an error."""
    store = Store()
    with store.reader() as file:
        file.read(1)
        store.info = ObjectInfo("b", "o", len(DATA), version="2")
        file.seek(3 * MIB)
        with pytest.raises(IntegrityError, match="b/o: the object was replaced while it was open"):
            file.read(1)


@pytest.mark.parametrize("size", [64 * KIB, 3 * MIB, 100 * MIB])
def test_bytes_that_come_in_order_are_verified(size: int) -> None:
    """By the checksum of the object, at its last byte."""
    store = Store()
    store.data = DATA[:-99] + b"x" + DATA[-98:]
    with (
        store.reader() as file,
        pytest.raises(IntegrityError, match="b/o: the xxhash2 checksum of its bytes is .* says"),
    ):
        read_through(file, size)


def test_bytes_that_are_read_again_are_verified_again() -> None:
    """As the message of the error advises."""
    store = Store()
    store.data = DATA[:-99] + b"x" + DATA[-98:]
    with store.reader() as file:
        for _ in range(2):
            file.seek(0)
            with pytest.raises(IntegrityError):
                read_through(file, MIB)


def test_a_small_object_is_verified_whatever_is_read() -> None:
    """It is read whole."""
    store = Store(DATA[:1000])
    store.data = b"x" + DATA[1:1000]
    with store.reader() as file:
        file.seek(500)
        with pytest.raises(IntegrityError):
            file.read(1)


def _read_in_child(file: ReadAheadReader, position: int) -> None:
    assert file.read(1000) == DATA[position : position + 1000]
    file.seek(MIB)
    with io.BufferedReader(file) as buffered:
        assert buffered.read(2 * DIRECT_BYTES) == DATA[MIB:][: 2 * DIRECT_BYTES]


def test_a_forked_child_reads_by_itself() -> None:
    """On from where the reader was; the parent's reads go on as well."""
    with Store().reader() as file:
        for _ in range(3):
            file.read(64 * KIB)
        args = (file, file.tell())
        child = multiprocessing.get_context("fork").Process(target=_read_in_child, args=args)
        child.start()
        child.join()
        assert child.exitcode == 0
        start = file.tell()
        assert file.read(1000) == DATA[start : start + 1000]


def test_checks_need_no_checksum() -> None:
    """A store that has none is read as well."""
    store = Store(has_checksum=False)
    calls: list[Callable[[ReadAheadReader], bytes | None]] = [
        ReadAheadReader.readall,
        lambda file: read_through(file, 64 * KIB),
    ]
    for read in calls:
        with store.reader() as file:
            assert read(file) == DATA


def test_first_bytes_that_are_there_are_not_read_again() -> None:
    """They are verified with the others."""
    store = Store()
    opener = RangeOpener(store.open, RetryPolicy(), first=memoryview(DATA[:300_000]))
    with ReadAheadReader(store.info, opener, part_bytes=PART, concurrency=2) as file:
        assert file.read() == DATA
    assert store.read_bytes() == len(DATA) - 300_000
    opener = RangeOpener(store.open, RetryPolicy(), first=memoryview(bytes(300_000)))
    with (
        ReadAheadReader(store.info, opener, part_bytes=PART, concurrency=2) as file,
        pytest.raises(IntegrityError, match="checksum of its bytes"),
    ):
        file.read()
