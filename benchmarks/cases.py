"""The kinds of work, and their readers. `python cases.py WORK READER CORPUS` measures one.

It prints one line of JSON: the figures, or the reason of the failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import files
import large
import listing
import shards
import small
import transport
from corpus import FIELDS_BYTES, SMALL_BYTES, TINY_BYTES, Corpus
from measuring import Reader, measure


@dataclass(frozen=True)
class Work:
    """One kind of work, done by several readers.

    Attributes:
        title: The work, as a template for the numbers of the corpus.
        unit: Unit of the items: entries, objects, samples or MB.
        readers: Readers by name; the names of aisio's own begin with "aisio".
    """

    title: str
    unit: str
    readers: Mapping[str, Reader]

    def title_for(self, corpus: Corpus) -> str:
        """Return the title with the numbers of a corpus."""
        return self.title.format(**asdict(corpus), large_mib=corpus.large_bytes >> 20)


WORKS = {
    "list": Work("List {listed:,} objects", "entries", listing.CASES),
    "get": Work("GET {small:,} objects of 100 KB", "objects", small.GET_CASES),
    "loader": Work("The same under a DataLoader, 2 workers", "objects", small.LOADER_CASES),
    "bytes": Work("32 x 100 KB a batch from 2 workers", "samples", transport.cases("bytes")),
    "tensors": Work("The same as one tensor", "samples", transport.cases("tensors")),
    "images": Work("The same as 32 x 3 x 224 x 224", "samples", transport.cases("images")),
    "batch": Work("The same by get-batch, 128 a request", "objects", small.BATCH_CASES),
    "tiny": Work("GET {tiny:,} objects of 1 KB", "objects", small.TINY_CASES),
    "shards": Work("{shards} tar shards of {samples:,} samples of 70 KB", "samples", shards.CASES),
    "stream": Work("Stream an object of {large_mib} MiB", "MB", large.STREAM_CASES),
    "memory": Work("The same into fresh memory", "MB", large.MEMORY_CASES),
    "file": Work("The same into a new file", "MB", files.CASES),
}


def check(work: str, corpus: Corpus, size_bytes: float) -> None:
    """Check that the reader delivered everything.

    Raises:
        ValueError: It did not, so that its figures cannot be compared.
    """
    expected = {
        "list": (corpus.listed * TINY_BYTES,),
        "tiny": (corpus.tiny * TINY_BYTES, corpus.tiny // 5 * TINY_BYTES),
        "shards": (corpus.shards * corpus.samples * FIELDS_BYTES,),
        "stream": (corpus.large_bytes,),
        "memory": (corpus.large_bytes,),
        "file": (corpus.large_bytes,),
        **{
            kind: (sample_bytes * transport.samples(corpus),)
            for kind, sample_bytes in transport.SAMPLE_BYTES.items()
        },
    }.get(work, (corpus.small * SMALL_BYTES,))
    if size_bytes not in expected:
        raise ValueError(f"{size_bytes:,} bytes were delivered instead of {expected}")


def main(work: str, reader: str, corpus_json: str) -> None:
    """Measure one case and print its figures."""
    corpus = Corpus.from_json(corpus_json)
    result: dict[str, Any] = {"work": work, "reader": reader}
    try:
        figures = measure(WORKS[work].readers[reader], corpus)
        check(work, corpus, figures["bytes"])
        result |= figures
    except Exception as error:  # a peer may raise anything; the table shows it
        result["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
