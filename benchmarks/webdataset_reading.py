"""webdataset over aisio beside webdataset over curl: the same pipelines, the same shards, in order.

In one process all samples are read as they come. With two workers, once they come in batches, sent
to the trainer's process, and once the workers send their sizes alone: that is what reading takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from corpus import Corpus
from loaders import BATCH, FIELDS, WORKERS, size_of
from measuring import READY, Items, Reader
from peers import http_urls
from training import EPOCHS

Pipeline = Callable[[Corpus], Any]


def over_aisio(corpus: Corpus) -> Any:
    """WebDataset of ais:// URLs, which aisio opens."""
    import webdataset

    import aisio.integrations.webdataset  # noqa: F401 - teaches webdataset

    os.environ["AIS_ENDPOINT"] = corpus.endpoint
    urls = [f"ais://{corpus.bucket}/{name}" for name in corpus.shard_names]
    return webdataset.WebDataset(urls, shardshuffle=False)


def from_samples(corpus: Corpus) -> Any:
    """A pipeline that begins with aisio's `samples`."""
    import webdataset

    from aisio.integrations.webdataset import samples

    stage = samples(f"ais://{corpus.bucket}/shards/", endpoint=corpus.endpoint)
    return webdataset.FluidWrapper(stage)


def over_curl(corpus: Corpus) -> Any:
    """WebDataset of curl's pipes, as its documentation suggests."""
    import webdataset

    pipes = [f"pipe:curl -s -L '{url}'" for url in http_urls(corpus, corpus.shard_names)]
    return webdataset.WebDataset(pipes, shardshuffle=False)


def in_one_process(pipeline: Pipeline, corpus: Corpus) -> Items:
    """All samples, as dicts."""
    dataset = pipeline(corpus)
    yield READY
    for sample in dataset:
        yield size_of(*(sample[name] for name in FIELDS))


def in_batches(pipeline: Pipeline, corpus: Corpus) -> Items:
    """All samples, in batches that workers make; two epochs."""
    loader = _loader(pipeline(corpus).to_tuple(*FIELDS).batched(BATCH))
    yield READY
    for _ in range(EPOCHS):
        for fields in loader:
            yield from map(size_of, *fields)


def by_workers(pipeline: Pipeline, corpus: Corpus) -> Items:
    """The sizes of all samples, in batches that workers make; two epochs."""
    loader = _loader(pipeline(corpus).to_tuple(*FIELDS).map(_sample_size).listed(BATCH))
    yield READY
    for _ in range(EPOCHS):
        for sizes in loader:
            yield from sizes


def _loader(dataset: Any) -> Any:
    import webdataset

    return webdataset.WebLoader(
        dataset, batch_size=None, num_workers=WORKERS, persistent_workers=True
    )


def _sample_size(fields: tuple[bytes, ...]) -> int:
    return size_of(*fields)


def _cases(read: Callable[[Pipeline, Corpus], Items]) -> Mapping[str, Reader]:
    return {
        "aisio under WebDataset": partial(read, over_aisio),
        "aisio samples()": partial(read, from_samples),
        "webdataset over curl": partial(read, over_curl),
    }


CASES = {
    "wds/one process": _cases(in_one_process),
    "wds/2 workers": _cases(by_workers),
    "wds/2 workers, batches": _cases(in_batches),
}
TITLES = {
    "wds/one process": "webdataset in order, one process",
    "wds/2 workers": "The same read by 2 workers",
    "wds/2 workers, batches": "The same in batches of 32, sent by 2 workers",
}
