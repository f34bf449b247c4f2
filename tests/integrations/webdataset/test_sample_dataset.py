"""samples(): webdataset's dicts out of the shard reader."""

from __future__ import annotations

import pickle
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - the reader needs it
import webdataset as wds

from aisio.errors import ConfigError, ShardError
from aisio.integrations.webdataset import samples
from tests.integrations.webdataset.conftest import SAMPLES, SHARDS, shard
from tests.tars import pack

URL = "ais://data/train/"
KEYS = [f"s{number}/{sample:02d}" for number in range(SHARDS) for sample in range(SAMPLES)]


def keys_of(*stages: object) -> list[str]:
    """Return the keys of what a pipeline yields."""
    return [one["__key__"] for one in wds.DataPipeline(*stages)]


def test_samples_are_those_of_webdataset(bucket):
    """Key with folder, URL, extensions without a dot and in lower case, bytes."""
    bucket.object("case/a.tar").put(
        pack(("__meta__/1.txt", b"m"), ("a/1.JPG", b"j"), ("a/1.left.png", b"p"), ("a/2.cls", b"2"))
    )
    urls = ["ais://data/case/a.tar"]
    assert list(samples("ais://data/case/")) == list(wds.WebDataset(urls, shardshuffle=False))
    assert next(iter(samples("ais://data/case/"))) == {
        "__key__": "a/1",
        "__url__": urls[0],
        "jpg": b"j",
        "left.png": b"p",
    }


def test_a_pipeline_goes_on_from_them(bucket):
    """Two lines in place of a list of shards, splitters, an opener and an expander."""
    pipeline = wds.DataPipeline(
        samples(URL), wds.shuffle(10), wds.decode(), wds.to_tuple("__key__", "cls"), wds.batched(5)
    )
    rows = [row for keys, classes in pipeline for row in zip(keys, classes.tolist(), strict=True)]
    assert sorted(rows) == [(key, int(key[-2:])) for key in KEYS]


def test_workers_read_each_shard_once(bucket):
    """The stage finds the worker itself."""
    pipeline = wds.DataPipeline(samples(URL), wds.to_tuple("__key__"))
    loader = wds.WebLoader(pipeline, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert sorted(key for (key,) in loader) == KEYS


def test_ranks_read_each_shard_once(bucket, monkeypatch):
    """As the environment says them."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    keys = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        keys += keys_of(pickle.loads(pickle.dumps(samples(URL))))
    assert sorted(keys) == KEYS


@pytest.mark.parametrize("splitter", [wds.split_by_node, wds.split_by_worker])
@pytest.mark.parametrize("between", [(), (wds.shuffle(5), wds.decode())])
def test_a_splitter_behind_it_is_an_error(bucket, splitter, between):
    """Also where there is one process: before the job is on the cluster."""
    with pytest.raises(ConfigError, match=f"samples.*{splitter.__name__} behind it.*split='none'"):
        keys_of(samples(URL), *between, splitter)


def test_what_it_leaves_to_webdataset_webdataset_may_split(bucket, monkeypatch):
    """With split="none" samples are dropped that were read."""
    assert len(keys_of(samples(URL, split="none"), wds.split_by_node, wds.split_by_worker)) == 24
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert keys_of(samples(URL, split="none"), wds.split_by_node) == KEYS[1::2]
    assert keys_of(samples(URL, split="worker"), wds.split_by_node) == KEYS[1::2]
    assert keys_of(samples(URL, ranks=None), wds.split_by_node) == KEYS[1::2]
    with pytest.raises(ConfigError, match="split_by_worker"):
        keys_of(samples(URL, split="worker"), wds.split_by_worker)


def test_it_begins_a_pipeline_or_nothing(bucket):
    """Behind a list of shards its source would be read for each of them, or once: who knows."""
    with pytest.raises(ValueError, match="not a valid pipeline stage"):
        keys_of(wds.SimpleShardList("ais://data/train/0.tar"), samples(URL))


def test_an_iteration_is_an_epoch(bucket):
    """with_epoch() and repeat() begin again."""
    assert keys_of(samples(URL)) == KEYS
    pipeline = wds.DataPipeline(samples(URL)).with_epoch(30)
    assert [one["__key__"] for one in pipeline] == KEYS + KEYS[:6]
    assert len(list(wds.DataPipeline(samples(URL)).repeat(2))) == 48


def test_keys_are_fixed_and_others_not_read(bucket):
    """With b"" for what a sample lacks, as in AISShardReader."""
    bucket.object("lack/a.tar").put(pack(("1.a", b"a"), ("1.b", b"b"), ("2.b", b"b")))
    first, second = samples("ais://data/lack/", keys=["a"])
    assert (first["a"], second["a"]) == (b"a", b"")
    assert "b" not in first
    with pytest.warns(UserWarning, match="none of the first 2 samples"):
        list(samples("ais://data/lack/", keys=["aa"]))


def test_options_are_those_of_the_reader(bucket):
    """A bad shard may be skipped, and is remembered."""
    bucket.object("bad/0.tar").put(shard(0)[:5000])
    bucket.object("bad/1.tar").put(shard(1))
    with pytest.raises(ShardError, match="<SampleDictReader> ais://data/bad/0.tar: cut at"):
        list(samples("ais://data/bad/"))
    stage = samples("ais://data/bad/", on_error="skip")
    assert keys_of(stage) == [*KEYS[:2], *KEYS[6:12]]
    assert [skipped.url for skipped in stage.quarantine] == ["ais://data/bad/0.tar"]
    bucket.object("bad/0.tar").put(shard(2))
    stage.relist()
    assert stage.count() == 2 * SAMPLES
    assert stage.stats()["epochs"] == 1


def test_what_would_lose_a_field_is_an_error(bucket):
    """Webdataset has one name for both."""
    bucket.object("both/a.tar").put(pack(("1.JPG", b"a"), ("1.jpg", b"b")))
    with pytest.raises(ShardError, match="'JPG', 'jpg'.*one of them would be lost"):
        list(samples("ais://data/both/"))


@pytest.mark.parametrize("option", ["full_key", "new_fields", "fields", "decode", "transform"])
def test_options_that_have_no_meaning_are_refused(option):
    """Keys are whole, and fields those that there are."""
    options: dict[str, Any] = {option: True}
    with pytest.raises(ConfigError, match=option):
        samples(URL, **options)
