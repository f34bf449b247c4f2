"""Lhotse over aisio beside Lhotse's own AIStore classes, over the same SDK's objects.

Recordings are objects of 100 KB, or lie in shards, where pointers name their bytes, as in Shar.
Batches are read by AISBatchLoader, single recordings by Lhotse's `read_payload`, which reads by
AISRangeReader. Nothing is decoded.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from by_hand import Connections, addresses
from corpus import Corpus
from measuring import READY, Items, Reader

BATCH = 64
FIELDS = 3

Sources = Callable[[Corpus], list[tuple[str, str]]]
"""Returns the types and URLs of recordings."""


def by_url(corpus: Corpus) -> list[tuple[str, str]]:
    """Recordings that are objects."""
    return [("url", f"ais://{corpus.bucket}/{name}") for name in corpus.small_names]


def in_order(corpus: Corpus) -> list[tuple[str, str]]:
    """Recordings in shards, in their order."""
    return [("shar_ptr", pointer) for pointer, _ in _pointers(corpus)]


def at_random(corpus: Corpus) -> list[tuple[str, str]]:
    """The same, shuffled over all shards."""
    found = in_order(corpus)
    random.Random(0).shuffle(found)
    return found


def _pointers(corpus: Corpus) -> Iterator[tuple[str, range]]:
    """Yield Lhotse's pointer to each sample, and the bytes of its first field."""
    from aisio import Client

    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    for name in corpus.shard_names:
        with tarfile.open(fileobj=io.BytesIO(bucket.object(name).get())) as tar:
            members = tar.getmembers()
        starts = [member.offset for member in members[::FIELDS]]
        ends = [*starts[1:], members[-1].offset_data + 512]
        for member, start, end in zip(members[::FIELDS], starts, ends, strict=True):
            pointer = f"ais://{corpus.bucket}/{name}?o={start}&e={end}"
            yield pointer, range(member.offset_data, member.offset_data + member.size)


def load_batches(sources: Sources, corpus: Corpus, *, ours: bool, get_batch: bool) -> Items:
    """`AISBatchLoader`, 64 recordings a batch."""
    loader = _loader(corpus, ours=ours, get_batch=get_batch)
    batches = list(_batches(sources(corpus)))
    _ = loader.client  # both make it when they need it
    yield READY
    for batch in batches:
        for cut in loader(batch):
            yield len(cut.recording.sources[0].source)


def _loader(corpus: Corpus, *, ours: bool, get_batch: bool) -> Any:
    os.environ["AIS_ENDPOINT"] = corpus.endpoint
    if ours:
        from aisio.integrations.lhotse import AISBatchLoader

        return AISBatchLoader(get_batch=get_batch)
    from lhotse.ais import AISBatchLoader as LhotseBatchLoader

    return LhotseBatchLoader(force_individual=not get_batch)


def _batches(sources: Sequence[tuple[str, str]]) -> Iterator[Any]:
    from lhotse import CutSet, Recording
    from lhotse.audio import AudioSource

    recordings = [
        Recording(f"{number}", [AudioSource(kind, [0], url)], 8000, 8000, 1.0)
        for number, (kind, url) in enumerate(sources)
    ]
    for first, stop in pairwise([*range(0, len(recordings), BATCH), len(recordings)]):
        yield CutSet([one.to_cut() for one in recordings[first:stop]])


def read_payloads(sources: Sources, corpus: Corpus, *, ours: bool) -> Items:
    """Lhotse's `read_payload` for each recording."""
    os.environ["AIS_ENDPOINT"] = corpus.endpoint
    from lhotse.shar.lazy_pointer import read_payload

    from aisio.integrations.lhotse import register, unregister

    pointers = [pointer for _, pointer in sources(corpus)]
    if ours:
        register()
    yield READY
    for pointer in pointers:
        yield len(read_payload(pointer))
    unregister()


def ranges_by_hand(corpus: Corpus) -> Items:
    """http.client straight to the node, one range for each recording, in random order."""
    spans = dict(_pointers(corpus))
    order = [pointer for _, pointer in at_random(corpus)]
    names = [pointer.partition("?")[0].split("/", 3)[3] for pointer in order]
    requests = list(
        zip(addresses(corpus, names), (spans[pointer] for pointer in order), strict=True)
    )
    connections = Connections()
    yield READY
    for address, span in requests:
        wanted = f"bytes={span.start}-{span.stop - 1}"
        yield len(connections.get(address, Range=wanted).read())


def _batch_cases(sources: Sources) -> Mapping[str, Reader]:
    load = partial(load_batches, sources)
    return {
        "aisio AISBatchLoader": partial(load, ours=True, get_batch=False),
        "aisio, get_batch": partial(load, ours=True, get_batch=True),
        "Lhotse's AISBatchLoader": partial(load, ours=False, get_batch=True),
        "Lhotse's, force_individual": partial(load, ours=False, get_batch=False),
    }


CASES: dict[str, Mapping[str, Reader]] = {
    "lhotse/urls": _batch_cases(by_url),
    "lhotse/shar": _batch_cases(in_order),
    "lhotse/shar, shuffled": _batch_cases(at_random),
    "lhotse/single": {
        "aisio AISRangeReader": partial(read_payloads, in_order, ours=True),
        "Lhotse's AISRangeReader": partial(read_payloads, in_order, ours=False),
    },
    "lhotse/single, shuffled": {
        "aisio AISRangeReader": partial(read_payloads, at_random, ours=True),
        "Lhotse's AISRangeReader": partial(read_payloads, at_random, ours=False),
        "by hand: http.client, one range": ranges_by_hand,
    },
}
TITLES = {
    "lhotse/urls": "Lhotse's batches of 64 recordings of 100 KB, by URL",
    "lhotse/shar": "Batches of 64 recordings of 70 KB in shards, by pointers, in order",
    "lhotse/shar, shuffled": "The same, shuffled over all shards",
    "lhotse/single": "Recordings of 70 KB in shards, one by one, in order",
    "lhotse/single, shuffled": "The same, shuffled over all shards",
}
