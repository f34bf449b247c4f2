"""Split: every rank x worker takes its share, and the shares add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.split import Partition, equal_count, equal_rounds

counts = st.integers(0, 200)
sizes = st.integers(1, 9)


@given(counts, sizes, sizes)
def test_shares_are_disjoint_and_complete(count, ranks, workers):
    """Every item goes to exactly one place."""
    places = [Partition(r, ranks, w, workers) for r in range(ranks) for w in range(workers)]
    taken = [list(place.take(range(count))) for place in places]
    assert sorted(item for items in taken for item in items) == list(range(count))


@given(counts, sizes, sizes)
def test_a_ranks_share_does_not_depend_on_its_workers(count, ranks, workers):
    """The workers of a rank together take what the rank alone would."""
    for rank in range(ranks):
        of_workers = sorted(
            i for w in range(workers) for i in Partition(rank, ranks, w, workers).take(range(count))
        )
        assert of_workers == list(Partition(rank, ranks).take(range(count)))
        assert Partition(rank, ranks, workers - 1, workers).whole_rank == Partition(rank, ranks)


def test_item_i_goes_to_worker_i_mod_n():
    """The rule that users of the official package know (AIS-07)."""
    assert list(Partition(worker=1, workers=3).take(range(8))) == [1, 4, 7]


def test_shares_are_taken_lazily():
    """An endless listing can be split."""

    def endless():
        number = 0
        while True:
            yield number
            number += 1

    share = Partition(1, 2).take(endless())
    assert [next(share), next(share)] == [1, 3]


@pytest.mark.parametrize("numbers", [(2, 2), (-1, 2), (0, 0), (0, 1, 1, 1), (0, 1, 0, 0)])
def test_impossible_places_are_refused(numbers):
    """A rank outside the world would silently read nothing."""
    with pytest.raises(ConfigError, match="rank"):
        Partition(*numbers)


@given(counts, sizes, sizes, st.sampled_from(["drop", "pad"]))
def test_equal_rounds_make_shares_equal(count, ranks, workers, equalize):
    """Worker for worker, at the cost of fewer items than there are ranks."""
    if equalize == "drop" and 0 < count < ranks:
        with pytest.raises(ConfigError, match=f"too few items, {count} for {ranks} ranks"):
            list(equal_rounds(range(count), ranks, "drop"))
        with pytest.raises(ConfigError, match=f"too few items, {count} for {ranks} ranks"):
            equal_count(count, ranks, "drop")
        return
    items = list(equal_rounds(range(count), ranks, equalize))
    for worker in range(workers):
        places = [Partition(rank, ranks, worker, workers) for rank in range(ranks)]
        assert len({len(list(place.take(items))) for place in places}) == 1
    whole = count - count % ranks if equalize == "drop" else -(-count // ranks) * ranks
    assert items == [number % count for number in range(whole)]
    assert equal_count(count, ranks, equalize) == whole


@given(counts, sizes)
def test_none_and_a_single_rank_leave_all_as_it_is(count, ranks):
    """An incomplete round has its own items only."""
    assert list(equal_rounds(range(count), ranks, "none")) == list(range(count))
    assert list(equal_rounds(range(count), 1, "drop")) == list(range(count))


def test_a_round_is_read_ahead_and_no_more():
    """A listing may have a million objects, and is read as it comes."""
    items = iter(range(10))
    assert next(equal_rounds(items, 4, "drop")) == 0
    assert next(items) == 4
