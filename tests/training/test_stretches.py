"""Stretches: the same number of samples for worker w of each rank, and all of them once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.split import Partition
from aisio.training.stretches import shard_pieces, stretch_of

sizes = st.integers(1, 9)
shards = st.lists(st.integers(0, 30), min_size=1, max_size=12)


@given(shards, sizes, sizes, st.sampled_from(["drop", "pad"]))
def test_stretches_are_equal_and_complete(samples, ranks, workers, equalize):
    """But for fewer samples than there are ranks, which are left out, or come twice."""
    total = sum(samples)
    places = [Partition(r, ranks, w, workers) for r in range(ranks) for w in range(workers)]
    if equalize == "drop" and 0 < total < ranks:
        with pytest.raises(ConfigError, match=f"too few samples, {total} for {ranks} ranks"):
            stretch_of(places[0], total, "drop")
        return
    stretches = [stretch_of(place, total, equalize) for place in places]
    for worker in range(workers):
        assert len({len(stretch) for stretch in stretches[worker::workers]}) == 1
    numbers = [(shard, sample) for shard, count in enumerate(samples) for sample in range(count)]
    found = [
        (piece.shard, sample)
        for stretch in stretches
        for piece in shard_pieces(samples, stretch)
        for sample in range(piece.start, piece.stop)
    ]
    whole = total - total % ranks if equalize == "drop" else -(-total // ranks) * ranks
    assert found == [numbers[position % total] for position in range(whole)]


def test_a_piece_is_a_whole_shard_where_it_can_be():
    """A shard is opened once for each stretch that it is in."""
    assert list(shard_pieces([2, 0, 3], range(1, 7))) == [(0, 1, 2), (2, 0, 3), (0, 0, 2)]
