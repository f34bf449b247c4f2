"""Which chunks make the file that was uploaded last."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.chunk_receipts import AmbiguousChunks, Receipt, find_file

CHUNK = 4


def receipts_of(data: bytes, *, ends: bool = True) -> list[Receipt]:
    """Return what comes of a file; with `ends` as anylearn sends it, the last chunk being short."""
    count = len(data) // CHUNK + 1 if ends else -(-len(data) // CHUNK)
    parts = [data[number * CHUNK : (number + 1) * CHUNK] for number in range(count)]
    return [
        Receipt(number, len(part), hashlib.sha1(part).hexdigest())
        for number, part in enumerate(parts)
    ]


def filled(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Return the chunks that have bytes."""
    return [receipt for receipt in receipts if receipt.size]


OLD, NEW = bytes(range(36)), bytes(range(100, 136))


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 12, 13])
def test_a_file_that_came_once_is_that_file(size, ends) -> None:
    """In any order if its last chunk is shorter or empty; else in order, or counted."""
    receipts = receipts_of(NEW[:size], ends=ends)
    has_end = receipts[-1].size < CHUNK
    assert find_file(receipts) == filled(receipts)
    for _ in range(5):
        order = random.sample(receipts, len(receipts))
        count = None if has_end else len(receipts)
        assert find_file(order, count) == filled(receipts)


def test_a_chunk_from_the_middle_of_a_file_is_not_the_end_of_another_one() -> None:
    """A client that sends in any order was killed; the next file has whole chunks only."""
    stayed, new = receipts_of(OLD)[1:2], receipts_of(NEW[:4], ends=False)
    with pytest.raises(AmbiguousChunks, match="in order, or send 'chunks'"):
        find_file(stayed + new)
    assert find_file(stayed + new + receipts_of(NEW[:4])[1:]) == new


@pytest.mark.parametrize("sent", range(1, 10))
@pytest.mark.parametrize("size", [3, 5, 7, 8, 12, 30, 36])
def test_a_file_replaces_another_one_whose_client_was_killed(size, sent) -> None:
    """Whatever of that had come: here all was sent in order, as anylearn does it."""
    old, new = receipts_of(OLD)[:sent], receipts_of(NEW[:size])
    try:
        assert find_file(old + new) == filled(new)
    except AmbiguousChunks:
        # One chunk may also be the beginning of what had come before it.
        assert len(new) == 1


def test_a_file_without_an_end_is_ambiguous_unless_its_chunks_are_counted() -> None:
    """A longer one had come before, which could be its rest."""
    receipts = receipts_of(OLD, ends=False) + receipts_of(NEW[:8], ends=False)
    with pytest.raises(AmbiguousChunks, match="2 or 9 chunks: upload it again"):
        find_file(receipts)
    assert find_file(receipts, 2) == receipts_of(NEW[:8], ends=False)
    same = receipts_of(OLD, ends=False) + receipts_of(OLD[:8], ends=False)
    with pytest.raises(AmbiguousChunks):
        find_file(same)
    assert find_file(same, 2) == receipts_of(OLD[:8], ends=False)


def test_a_short_file_is_not_completed_by_the_end_of_another_one() -> None:
    """Of two chunks, the second one has stayed."""
    receipts = [*receipts_of(OLD[:6]), *receipts_of(NEW[:3])]
    with pytest.raises(AmbiguousChunks):
        find_file(receipts)
    assert find_file(receipts, 1) == receipts_of(NEW[:3])


def test_a_chunk_that_came_again_is_the_same_one() -> None:
    """Its client did not get the answer."""
    first, second, third = receipts_of(NEW[:9])
    for order in (
        [first, first, second, third],
        [first, second, second, third],
        [first, second, third, third],
        [third, first, first, second],
        [first, second, first, third],
    ):
        assert find_file(order) == [first, second, third]


@pytest.mark.parametrize(
    ("receipts", "count", "match"),
    [
        ([], None, "chunk 0 was not uploaded"),
        (receipts_of(b""), None, "the file is empty"),
        (receipts_of(NEW)[1:], None, "chunk 0 was not uploaded"),
        ([*receipts_of(NEW)[:2], *receipts_of(NEW)[3:]], None, "chunk 2 was not uploaded"),
        (receipts_of(NEW)[:3], 5, "chunk 3 was not uploaded"),
        (receipts_of(NEW), 5, "9 chunks have come, not 5"),
        ([Receipt(0, 3, "a"), Receipt(1, 4, "b")], None, "chunk 1 has 4 bytes, chunk 0 has 3"),
        ([Receipt(0, 3, "a"), Receipt(1, 0, ""), Receipt(2, 3, "c")], None, "chunk 1 has 0 bytes"),
        ([Receipt(0, 3, "a"), Receipt(0, 3, "b"), Receipt(2, 3, "c")], None, "chunk 1 was not"),
        ([Receipt(1, 3, "a"), Receipt(0, 3, "b"), Receipt(1, 3, "c"), Receipt(1, 3, "d")], None,
         "two uploads that do not fit"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_an_error(receipts, count, match) -> None:
    """Which names the chunk."""
    with pytest.raises(ResourceError, match=match):
        find_file(receipts, count)


@given(
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 7)), max_size=3),
    st.integers(1, 24),
    st.lists(st.integers(0, 6), max_size=3),
    st.booleans(),
)
def test_an_upload_is_never_silently_another_file(given_up, size, again, ends) -> None:
    """After uploads that were given up anywhere, each a file of its own, and with chunks again.

    Clients send in order, as anylearn does; a chunk comes again directly behind itself.
    """
    receipts: list[Receipt] = []
    for number, (old_size, sent) in enumerate(given_up):
        receipts += receipts_of(bytes([number]) * old_size)[:sent]
    new = receipts_of(bytes([9]) * size, ends=ends)
    for number, receipt in enumerate(new):
        receipts += [receipt] * (1 + again.count(number))
    assert find_file(receipts, len(filled(new))) == filled(new)
    try:
        assert find_file(receipts) == filled(new)
    except AmbiguousChunks:
        assert given_up, "a file that came alone is never in doubt"
