"""to_wds(): pipelines over a Loader, and where they go on."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - the Loader needs it
import webdataset as wds

from aisio import AISShardDataset, Loader
from aisio.errors import ConfigError
from aisio.integrations.webdataset import LoaderPipeline, to_wds
from tests.integrations.webdataset.conftest import SAMPLES, SHARDS

KEYS = [f"s{number}/{sample:02d}" for number in range(SHARDS) for sample in range(SAMPLES)]


@pytest.fixture
def dataset(bucket, tmp_path, monkeypatch) -> AISShardDataset:
    """Return the samples of the shards."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path))
    return AISShardDataset("ais://data/train/", full_key=True)


def pipeline(dataset: Any, batch_size: int = 5, **options: Any) -> LoaderPipeline:
    """Return a pipeline of samples."""
    options = {"shuffle": True, "collate_fn": list, "equalize": "none", **options}
    return to_wds(Loader(dataset, batch_size, **options))


def keys_in(batches: Any) -> list[str]:
    """Return the keys of batches of one field."""
    return [key for (batch,) in batches for key in batch]


def test_samples_of_a_loader(dataset):
    """Each once in an epoch, in another order in the next."""
    pipe = pipeline(dataset)
    samples = list(pipe)
    assert sorted(one["__key__"] for one in samples) == KEYS
    assert all(one["cls"] == one["__key__"][-2:].encode() for one in samples)
    assert samples != list(pipe)


def test_stages_of_webdataset_follow(dataset):
    """In the fluent form, as after WebDataset."""
    pipe = pipeline(dataset, shuffle=False).decode().to_tuple("__key__", "cls").batched(8)
    assert isinstance(pipe, LoaderPipeline)
    keys, classes = next(iter(pipe))
    assert list(keys) == KEYS[:8]
    assert classes.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


def test_batches_of_a_loader_that_collates_are_given_as_they_are(dataset):
    """As by a WebLoader."""
    pipe = to_wds(Loader(dataset, 4)).map(lambda batch: batch[0])
    names = next(iter(pipe))
    assert list(names) == KEYS[:4]


@pytest.mark.parametrize("size", [None, 1, 4, 5, 7])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_job_goes_on_exactly_where_it_stopped(dataset, size, steps):
    """Whatever the batches of the pipeline, and of the Loader."""

    def build() -> LoaderPipeline:
        pipe = pipeline(dataset, seed=9).to_tuple("__key__")
        return pipe if size is None else pipe.batched(size)

    def read(items: Any) -> list[str]:
        return [key for (key,) in items] if size is None else keys_in(items)

    undisturbed = read(build())
    first = build()
    before = read(islice(first, steps))
    state = json.loads(json.dumps(first.state_dict()))
    second = build()
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert before + read(second) == undisturbed


def test_a_state_of_an_epochs_end_is_that_of_the_next(dataset):
    """Also behind the last batch."""
    pipe, other = (pipeline(dataset).to_tuple("__key__").batched(5) for _ in range(2))
    for _ in pipe:
        pass
    other.load_state_dict(pipe.state_dict())
    assert keys_in(other) == keys_in(pipe)


def test_a_job_goes_on_with_other_batches_where_a_batch_ended(dataset):
    """As the Loader does, so with other ranks."""
    first = pipeline(dataset, 6).to_tuple("__key__").batched(6)
    before = keys_in(islice(first, 2))
    second = pipeline(dataset, 4).to_tuple("__key__").batched(4)
    second.load_state_dict(first.state_dict())
    assert sorted(before + keys_in(second)) == KEYS


def test_ranks_share_an_epoch_and_another_number_goes_on(dataset):
    """Each rank has its own pipeline, and all of them one state."""

    def build(rank: int, ranks: int) -> LoaderPipeline:
        pipe = pipeline(dataset, 4, ranks=(rank, ranks), num_workers=1)
        return pipe.to_tuple("__key__").batched(4)

    pipes = [build(rank, 2) for rank in range(2)]
    before = [key for pipe in pipes for key in keys_in(islice(pipe, 1))]
    states = [pipe.state_dict() for pipe in pipes]
    assert states[0] == states[1]
    rest = []
    for rank in range(3):
        pipe = build(rank, 3)
        pipe.load_state_dict(states[0])
        rest += keys_in(pipe)
    assert sorted(before + rest) == KEYS


def test_within_a_batch_it_is_an_error(dataset):
    """Its samples would come twice, or not at all."""
    first = pipeline(dataset, 6)
    list(islice(first, 8))
    second = pipeline(dataset, 4)
    second.load_state_dict(first.state_dict())
    with pytest.raises(ConfigError, match="saved behind 2 samples of a batch"):
        next(iter(second))


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (lambda pipe: pipe.shuffle(10), "shuffle"),
        (lambda pipe: pipe.batched(2).unbatched(), "unbatched"),
        (lambda pipe: pipe.listed(2).unlisted(), "unlisted"),
        (lambda pipe: pipe.batched(2).batched(2), "a second batched"),
        (lambda pipe: pipe.mcached(), "mcached"),
    ],
)
def test_there_is_no_state_where_samples_are_kept(dataset, held, name):
    """They would be lost: nobody knows which they are."""
    pipe = held(pipeline(dataset).to_tuple("__key__"))
    next(iter(pipe))
    with pytest.raises(ConfigError, match=rf"with {name}\(\): it keeps samples"):
        pipe.state_dict()


def test_a_state_that_is_loaded_ends_the_iteration(dataset):
    """What it has in its hands is of another place."""
    pipe = pipeline(dataset)
    state, items = pipe.state_dict(), iter(pipe)
    next(items)
    pipe.load_state_dict(state)
    with pytest.raises(RuntimeError, match="begin a new iteration"):
        next(items)


@pytest.mark.parametrize("state", [{}, {"loader": 1}, {"loader": {}, "samples": -1}, 3])
def test_what_is_no_state_is_an_error(dataset, state):
    """And nothing is changed."""
    with pytest.raises(ConfigError):
        pipeline(dataset).load_state_dict(state)


def test_a_worker_or_a_splitter_behind_it_is_an_error(dataset):
    """Each worker would read everything; a splitter would drop a part."""
    with pytest.raises(ConfigError, match="each worker would read all"):
        list(wds.WebLoader(pipeline(dataset), batch_size=None, num_workers=1))
    with pytest.raises(ConfigError, match="split_by_node behind it"):
        list(pipeline(dataset).compose(wds.split_by_node))


def _sample(item: tuple[str, dict[str, bytes]]) -> dict[str, Any]:
    return {"__key__": item[0].upper(), "cls": int(item[1]["cls"])}


def test_a_transform_may_make_the_samples(bucket, tmp_path, monkeypatch):
    """In the Loader's workers."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path))
    dataset = AISShardDataset("ais://data/train/", full_key=True, transform=_sample)
    assert next(iter(pipeline(dataset, shuffle=False))) == {"__key__": "S0/00", "cls": 0}
    dataset = AISShardDataset("ais://data/train/", fields=("cls", "img.bin"))
    with pytest.raises(ConfigError, match="must give .name, fields.*it gave a tuple"):
        next(iter(pipeline(dataset)))


def test_something_else_is_no_loader():
    """As a dataset."""
    with pytest.raises(ConfigError, match="to_wds.* of a list: an aisio.Loader is needed"):
        to_wds([1, 2])  # type: ignore[arg-type]
