"""Names in a shard index: a sample by its key, similar keys, keys that stand for two samples."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ShardError
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_names import name_table


def index_of(*shards: list[str]) -> ShardIndex:
    """Return the index of shards with these keys."""
    return ShardIndex.merge(
        [
            one_shard(f"ais://b/{number}.tar", 9, "", spans=None, samples=len(keys), keys=keys)
            for number, keys in enumerate(shards)
        ]
    )


@given(st.lists(st.lists(st.text(max_size=4), max_size=8)))
def test_every_key_is_found(shards: list[list[str]]):
    """Whatever the text, in each shard; a key of two samples is an error that names both."""
    index = index_of(*shards)
    every = [key for keys in shards for key in keys]
    assert list(index.keys()) == every
    for number, key in enumerate(every):
        if every.count(key) == 1:
            assert index.find(key) == number
        else:
            with pytest.raises(ShardError, match="more than one sample"):
                index.find(key)


def test_key_in_two_shards_names_both():
    """So that one of them can be repacked."""
    with pytest.raises(ShardError) as caught:
        index_of(["a", "b"], ["c"], ["b"]).find("b")
    for part in ("'b'", "sample 1 of ais://b/0.tar", "sample 3 of ais://b/2.tar"):
        assert part in str(caught.value)


@pytest.mark.parametrize("wrong", ["0017", "train/00017", "train/0017.jpg"])
def test_unknown_key_names_similar_ones(wrong: str):
    """A missing folder, a slip of the finger, an extension too many."""
    index = index_of([], [f"train/{number:04d}" for number in range(1000)], [])
    with pytest.raises(KeyError, match=f"no sample has the key '{wrong}'; similar: .*'train/0017'"):
        index.find(wrong)


def test_unknown_key_without_similar_ones():
    """Nothing is made up."""
    with pytest.raises(KeyError, match=r"no sample has the key 'x'\"$"):
        index_of(["a"], []).find("x")
    with pytest.raises(KeyError, match="no sample has the key ''"):
        index_of([]).find("")


def test_table_is_at_most_two_thirds_full():
    """Or a search for an unknown key would be long, or never end."""
    for count in (0, 1, 2, 3, 4, 5, 682, 683, 1000):
        ends = array("I", range(4, 4 * count + 1, 4))
        text = memoryview(array("I", range(count))).cast("B")
        table = name_table(text, memoryview(ends), [0], [count])
        assert sorted(filter(None, table)) == list(range(1, count + 1))
        assert len(table) * 2 >= count * 3
        assert len(table) & (len(table) - 1) == 0


def test_table_has_two_samples_of_a_key():
    """With all of them, keys that begin anew in each shard would take hours with many shards."""
    ends = array("I", [1, 2] * 5)
    table = name_table(memoryview(b"ab" * 5), memoryview(ends), range(0, 10, 2), [2] * 5)
    assert sorted(filter(None, table)) == [1, 2, 3, 4]
