"""Pieces: joined to the size of a write, and their source closed in time."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.gateway.storage.pieces import PIECE_BYTES, close_generator, coalesce


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=PIECE_BYTES // 2), max_size=8))
def test_joined_pieces_are_the_same_bytes(pieces: list[bytes]) -> None:
    """None of them is empty, and only the last is small."""
    found = list(coalesce(pieces))
    assert b"".join(found) == b"".join(pieces)
    assert all(len(piece) >= PIECE_BYTES for piece in found[:-1])
    assert all(found)


def test_a_consumer_that_stops_early_closes_the_source() -> None:
    """The files of the source must not stay open until it is collected."""
    events = list[str]()

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(PIECE_BYTES)
        finally:
            events.append("closed")

    pieces = source()
    joined = coalesce(pieces)
    next(joined)
    joined.close()
    assert events == ["closed"]
    close_generator(pieces)
    close_generator([b"no generator"])
    assert events == ["closed"]
