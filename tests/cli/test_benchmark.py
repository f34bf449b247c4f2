"""Timing somebody's own data: what is read, how much of it, and what the figures are."""

from __future__ import annotations

import io
import tarfile

import pytest

from aisio.cli.benchmark import Limits, Trial, run_trials
from aisio.errors import ConfigError, NotFoundError, ShardError
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four objects of ten bytes and a shard of three samples of five."""
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(b"0123456789")
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        for number in range(3):
            member = tarfile.TarInfo(f"{number}.cls")
            member.size = 5
            shard.addfile(member, io.BytesIO(b"12345"))
    return tmp_path


def trials(folder, *, below: str = "", **limits) -> dict[str, Trial]:
    """Time what is in a folder, once by default."""
    url = ObjectUrl.parse(f"file://{folder}/{below}")
    done = run_trials(LocalStore(), url, Limits(**{"turns": 1, **limits}))
    return {trial.work: trial for trial in done}


def test_listing_objects_and_shards_are_timed_apart(folder):
    """Names that end in .tar are shards, all others objects; the figures are of one turn."""
    found = trials(folder, turns=3)
    assert list(found) == ["list", "objects", "shards"]
    assert [trial.items for trial in found.values()] == [5, 4, 3]
    assert [trial.size_bytes for trial in found.values()] == [0, 40, 15]
    assert len(found["objects"].latencies_s) == 3 * 4


def test_what_is_not_there_is_not_timed(folder):
    """A prefix of shards alone has no objects to read, and the other way round."""
    assert list(trials(folder, below="s")) == ["list", "shards"]
    assert list(trials(folder, below="1")) == ["list", "objects"]


def test_nothing_at_all_is_an_error(folder):
    """A URL that is misspelt must not look like a slow one."""
    with pytest.raises(NotFoundError, match="none"):
        trials(folder, below="none")


def test_no_more_objects_are_read_than_allowed(folder):
    """Listing is not cut by it."""
    found = trials(folder, objects=2)
    assert (found["list"].items, found["objects"].items) == (5, 2)


@pytest.mark.parametrize(("allowed", "objects"), [(10, 1), (25, 3), (7, 1), (1000, 4)])
def test_no_more_bytes_are_read_than_allowed(folder, allowed, objects):
    """The last object is cut where the allowance ends."""
    read = trials(folder, size_bytes=allowed)["objects"]
    assert (read.items, read.size_bytes) == (objects, min(allowed, 40))


def test_a_shard_is_left_at_the_sample_that_uses_up_the_allowance(folder):
    """The rest of the shard is not read."""
    assert trials(folder, size_bytes=6)["shards"].items == 2


def test_damaged_data_is_an_error_and_not_a_figure(folder):
    """A cut shard is quick to read."""
    whole = (folder / "s.tar").read_bytes()
    (folder / "s.tar").write_bytes(whole[:1024])
    with pytest.raises(ShardError, match=r"s\.tar"):
        trials(folder)


def test_shards_without_samples_are_an_error(tmp_path):
    """There is nothing to time, and no division by zero."""
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with (
        pytest.warns(UserWarning, match="a shard without files"),
        pytest.raises(ShardError, match=r"there is no sample in file:.*/empty\.tar"),
    ):
        trials(tmp_path)


def test_an_empty_object_counts(tmp_path):
    """It takes a request like any other."""
    (tmp_path / "empty").write_bytes(b"")
    read = trials(tmp_path)["objects"]
    assert (read.items, read.size_bytes) == (1, 0)


def test_percentiles_are_times_that_were_measured():
    """The smallest time within which that share of the objects was read."""
    times = tuple(float(number) for number in range(1, 101))
    trial = Trial("objects", 100, 0, 10.0, 1.0, 0.1, times)
    assert [trial.latency_s(share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert Trial("list", 1, 0, 1.0, 1.0, 1.0).latency_s(0.5) is None


def test_figures_follow_from_the_times():
    """Items and bytes by wall time, processor time by items."""
    trial = Trial("shards", 100, 50_000_000, 2.0, 0.5, 0.1)
    assert (trial.items_per_s, trial.mb_per_s, trial.cpu_us_per_item) == (50, 25, 5000)


@pytest.mark.parametrize(("cpu_s", "limit"), [(0.9, "cpu"), (0.75, "cpu"), (0.5, "store")])
def test_a_process_that_is_busy_limits_itself(cpu_s, limit):
    """One that waits, waits for the store."""
    assert Trial("objects", 1, 1, 1.0, cpu_s, 0.1).limited_by == limit


@pytest.mark.parametrize("limits", [{"objects": 0}, {"size_bytes": 0}, {"turns": 0}])
def test_limits_below_one_are_refused(limits):
    """Nothing could be measured."""
    with pytest.raises(ConfigError, match="at least 1"):
        Limits(**limits)
