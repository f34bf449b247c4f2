"""AISBatchIterDataset: the same objects as AISIterDataset, many in one request."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    Client,
    ConfigError,
    NotSupportedError,
)
from aisio.gateway import Gateway

NAMES = [f"obj{number:02d}" for number in range(20)]


def name_of(item):
    """Return the name of a yielded object without its folder."""
    return item[0].rpartition("/")[2]


def test_missing_objects_are_skipped_with_a_warning(tmp_path, caplog):
    """How many objects, and which, also where the epoch is not read to its end."""
    pytest.importorskip("aiohttp")
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway:
        bucket = Client(gateway.endpoint).bucket("b")
        bucket.object("a").put(b"abc")
        dataset = AISBatchIterDataset([bucket.objects(["x", "a", "y"])], on_missing="skip")
        assert list(dataset) == [("a", b"abc")]
        assert [dataset.stats()[name] for name in ("items", "skipped")] == [1, 2]
        told = "<AISBatchIterDataset> skipped 2 (gone since they were listed): 'x', 'y'"
        assert caplog.messages == [told]
        epoch = iter(dataset)
        assert next(epoch) == ("a", b"abc")
        del epoch
    assert caplog.messages[1:] == [told.replace("2", "1").replace(", 'y'", "")]


def test_what_missing_objects_do_is_checked_at_once(folder):
    """By the constructor, also where no object is missing."""
    with pytest.raises(ConfigError, match='missing=.skipp.: "raise", "none" or "skip" is needed'):
        AISBatchIterDataset(folder, on_missing="skipp")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"cont_on_err": True}, {"missing": "skip"}])
def test_other_names_of_skipping(tmp_path, options):
    """The official package's, and the one before."""
    pytest.importorskip("aiohttp")
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        bucket = Client(gateway.endpoint).bucket("b")
        bucket.object("a").put(b"abc")
        dataset = AISBatchIterDataset([bucket.objects(["x", "a"])], **options)
        assert list(dataset) == [("a", b"abc")]
    told = [str(one.message) for one in warned]
    assert told == ["AISBatchIterDataset(missing=) is now called on_missing="] * (
        "missing" in options
    )


def test_rules_for_missing_objects_that_contradict_each_other_are_refused(folder):
    """None of them is ignored."""
    with pytest.raises(ConfigError, match="cont_on_err=True say different things"):
        AISBatchIterDataset(folder, cont_on_err=True, on_missing="none")


def test_the_transform_gets_objects_with_their_bytes(folder):
    """One for each, in order; and None for one that is gone."""
    dataset = AISBatchIterDataset(
        folder, max_batch_size=3, transform=lambda one: (one.name[-2:], one.size_bytes, one.read())
    )
    assert list(dataset) == [(name[-2:], 5, name.encode()) for name in NAMES]


def test_a_missing_object_is_none_in_a_batch(tmp_path):
    """At its place."""
    pytest.importorskip("aiohttp")
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway:
        bucket = Client(gateway.endpoint).bucket("b")
        bucket.object("a").put(b"abc")
        group = [bucket.objects(["x", "a", "y"])]
        assert list(AISBatchIterDataset(group, on_missing="none")) == [None, ("a", b"abc"), None]


def test_a_colocation_that_aistore_does_not_implement_says_so(folder):
    """As the official package: at construction, not in a worker."""
    with pytest.raises(NotImplementedError, match="TARGET_AND_SHARD_AWARE") as caught:
        AISBatchIterDataset(folder, colocation=2)
    assert isinstance(caught.value, NotSupportedError)


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_dataset_shares_the_objects_like_the_others(folder, workers):
    """Item i goes to worker i mod n, in batches of what is left."""
    dataset = AISBatchIterDataset(folder, max_batch_size=3)
    got = Counter(
        name_of(item) for item in DataLoader(dataset, batch_size=None, num_workers=workers)
    )
    assert got == Counter(NAMES)
    assert dataset.count() == 20


@pytest.mark.parametrize(
    "options",
    [{"max_batch_size": 0}, {"max_batch_size": 2.5}, {"colocation": 3}, {"output_format": ".zip"}],
)
def test_batch_dataset_refuses_what_cannot_work(options):
    """At construction, not in a worker."""
    with pytest.raises(ConfigError):
        AISBatchIterDataset("ais://b", endpoint="http://127.0.0.1:9", **options)


def test_batch_dataset_takes_the_official_arguments_in_their_order():
    """Moving is a changed import."""
    names = list(inspect.signature(AISBatchIterDataset).parameters)
    assert names[:10] == [
        "ais_source_list",
        "client",
        "prefix_map",
        "show_progress",
        "max_batch_size",
        "output_format",
        "streaming",
        "colocation",
        "partition_sources_by_worker",
        "cont_on_err",
    ]
