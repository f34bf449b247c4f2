"""Split: every rank x worker takes its share, and the shares add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.split import Partition

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
