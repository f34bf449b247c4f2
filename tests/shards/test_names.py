"""Shard names: what a listing of shards has beside them is told by its name."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.shards.names import ShardNames


@pytest.mark.parametrize("name", ["a.tar", "a/b.TAR", "a.tar.gz", "a.tgz", "a.tar.zst", "x.y.tar"])
def test_tar_files_are_shards(name):
    """Packed or not, in any case."""
    assert ShardNames()(name)


@pytest.mark.parametrize(
    "name",
    ["00000.parquet", "00000_stats.json", "a.tar.idx", "a.tar/", ".DS_Store", "._a.tar", "_SUCCESS",
     "a.csv", "tar", "a.tar/index"],
)  # fmt: skip
def test_what_tools_leave_beside_them_is_none(name):
    """Indexes, tables, statistics, markers, and what a desktop leaves."""
    assert not ShardNames()(name)


def test_patterns_choose_by_the_last_part_of_the_name():
    """One or several; they say what was left out in their own words."""
    chosen = ShardNames(["shard-*", "*.wds"])
    assert [chosen(name) for name in ("a/shard-0", "a/b.wds", "shard-/b.tar")] == [
        True,
        True,
        False,
    ]
    assert ShardNames("*")("_SUCCESS")
    assert "shard_names=['shard-*', '*.wds']" in chosen.why
    assert ShardNames(advice="rename them").why == "not named as tar shards, rename them"


@pytest.mark.parametrize("patterns", ["", [], [""]])
def test_no_pattern_is_refused(patterns):
    """It would leave everything out."""
    with pytest.raises(ConfigError, match="shard_names="):
        ShardNames(patterns)


def test_the_file_of_classes_is_a_sidecar():
    """It belongs to the shards beside it, so a log need not tell that it is no shard."""
    names = ShardNames()
    assert not names("train/classes.json")
    assert names.is_sidecar("train/classes.json")
    assert not names.is_sidecar("train/old-classes.json")
