"""Ranges of one version, and the checksum of those that come in order; see `test_read_ahead`."""

from __future__ import annotations

import io

import pytest
import xxhash

from aisio.errors import IntegrityError, RangeError, TruncatedError
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.transport.body import Body
from aisio.transport.range_reads import OrderedCheck, RangeOpener, RangeReads

DATA = bytes(range(100))
INFO = ObjectInfo("ais://b", "o", len(DATA), Checksum("xxhash2", xxhash.xxh64_hexdigest(DATA)), "1")
RETRY = RetryPolicy(attempts=3, first_wait_s=0)


def body(byte_range: ByteRange | None, version: str = "1", cut: int = 0) -> Body:
    """Return a response; `cut` bytes of it are missing."""
    start, stop = (byte_range.start, byte_range.stop) if byte_range else (0, len(DATA))
    data = DATA[start:stop]
    info = ObjectInfo("ais://b", "o", len(DATA), None, version)
    return Body(io.BytesIO(data[: len(data) - cut]), info, len(data))


def test_a_range_that_is_cut_is_read_on() -> None:
    """From where it broke."""
    opened = list[ByteRange | None]()

    def opener(byte_range: ByteRange | None) -> Body:
        opened.append(byte_range)
        return body(byte_range, cut=10 if len(opened) == 1 else 0)

    view = memoryview(bytearray(50))
    RangeReads(INFO, RangeOpener(opener, RETRY)).read(20, view)
    assert bytes(view) == DATA[20:70]
    assert opened == [ByteRange(20, 70), ByteRange(60, 70)]


def test_a_range_that_is_always_cut_is_an_error() -> None:
    """After the tries that there are."""
    reads = RangeReads(INFO, RangeOpener(lambda one: body(one, cut=5), RETRY))
    with pytest.raises(TruncatedError):
        reads.read(0, memoryview(bytearray(5)))


def test_an_object_that_was_replaced_is_an_error() -> None:
    """By its version, or because it is smaller now."""

    def smaller(_: ByteRange | None) -> Body:
        raise RangeError("smaller", url=INFO.url)

    for opener in (lambda one: body(one, version="2"), smaller):
        reads = RangeReads(INFO, RangeOpener(opener, RETRY))
        with pytest.raises(IntegrityError, match="was replaced while it was open"):
            reads.read(0, memoryview(bytearray(5)))


def test_bytes_in_order_are_compared_with_the_checksum() -> None:
    """Also where ranges overlap, or one comes twice; out of order nothing is compared."""
    view = memoryview(DATA)
    check = OrderedCheck(INFO)
    for start, stop in ((0, 40), (30, 60), (30, 60), (60, 100)):
        check.add(start, view[start:stop])
    wrong = memoryview(DATA[::-1])
    check = OrderedCheck(INFO)
    check.add(50, wrong[50:])
    check.add(0, wrong[:50])
    with pytest.raises(IntegrityError, match="the xxhash2 checksum of its bytes is"):
        check.add(50, wrong[50:])
