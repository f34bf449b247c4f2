"""The kinds of work, and their readers. `python cases.py WORK READER CORPUS` measures one.

It prints one line of JSON: the figures, or the reason of the failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import checkpoints
import dcp
import decoding
import files
import fsspec_reading
import large
import lhotse_reading
import listing
import models
import packing
import safetensors_loading
import shards
import small
import task_uploads
import training
import training_limits
import transfers
import transport
import webdataset_reading
from corpus import (
    ARRAY_BYTES,
    FIELDS_BYTES,
    IMAGE_BYTES,
    MODEL_FILES,
    PACKED_BYTES,
    PHOTO_BYTES,
    SMALL_BYTES,
    TABLE_COLUMNS,
    TINY_BYTES,
    Corpus,
    Objects,
)
from loaders import BATCH
from measuring import Reader, measure


@dataclass(frozen=True)
class Work:
    """One kind of work, done by several readers.

    Attributes:
        title: The work, as a template for the numbers of the corpus.
        unit: Unit of the items: entries, objects, samples, recordings or MB.
        readers: Readers by name; the names of aisio's own begin with "aisio".
        objects: What they read, if anything.
        max_turns: In how many turns they are measured, at most.
        figure: Which of report.FIGURES it is about.
    """

    title: str
    unit: str
    readers: Mapping[str, Reader]
    objects: Objects | None
    max_turns: int = 1_000
    figure: str = "rate"

    def title_for(self, corpus: Corpus) -> str:
        """Return the title with the numbers of a corpus."""
        return self.title.format(**asdict(corpus), large_mib=corpus.large_bytes >> 20)


WORKS = {
    "list": Work("List {listed:,} objects", "entries", listing.CASES, "tiny"),
    "get": Work("GET {small:,} objects of 100 KB", "objects", small.GET_CASES, "small"),
    "loader": Work(
        "The same under a DataLoader, 2 workers", "objects", small.LOADER_CASES, "small"
    ),
    "batch": Work("The same by get-batch, 128 a request", "objects", small.BATCH_CASES, "small"),
    "files": Work("The same into files", "objects", transfers.CASES, "small"),
    "put": Work("The files into objects", "objects", transfers.PUT_CASES, "small"),
    "copies": Work(
        "The objects into others of the cluster", "objects", transfers.COPY_CASES, "small"
    ),
    "fsspec/cat_file": Work(
        "The same through fsspec", "objects", fsspec_reading.CAT_FILE_CASES, "small"
    ),
    "fsspec/cat": Work(
        "The same through fsspec, 100 a call", "objects", fsspec_reading.CAT_CASES, "small"
    ),
    "fsspec/read_parquet": Work(
        "A Parquet file of {large_mib} MiB into pandas",
        "MB",
        fsspec_reading.PARQUET_CASES,
        "table",
    ),
    "tiny": Work("GET {tiny:,} objects of 1 KB", "objects", small.TINY_CASES, "tiny"),
    "shards": Work(
        "{shards} tar shards of {samples:,} samples of 70 KB", "samples", shards.CASES, "shards"
    ),
    **{
        key: Work(title, "samples", webdataset_reading.CASES[key], "shards")
        for key, title in webdataset_reading.TITLES.items()
    },
    **{
        key: Work(
            title,
            "recordings",
            lhotse_reading.CASES[key],
            "small" if key == "lhotse/urls" else "shards",
        )
        for key, title in lhotse_reading.TITLES.items()
    },
    "pack": Work("{packed:,} files of 20 KB into shards", "files", packing.CASES, objects=None),
    "tasks/first": Work(
        "{packed:,} files of 20 KB for a training task",
        "files",
        task_uploads.FIRST_CASES,
        objects=None,
    ),
    "tasks/second": Work(
        "The same, unchanged", "files", task_uploads.SECOND_CASES, objects=None, max_turns=3
    ),
    "stream": Work("Stream an object of {large_mib} MiB", "MB", large.STREAM_CASES, "large"),
    "memory": Work("The same into fresh memory", "MB", large.MEMORY_CASES, "large"),
    "file": Work("The same into a new file", "MB", files.CASES, "large"),
    "checkpoint/write": Work(
        "Write a checkpoint of {large_mib} MiB", "MB", checkpoints.WRITE_CASES, "large"
    ),
    "checkpoint/read": Work(
        "Read a checkpoint of {large_mib} MiB", "MB", checkpoints.READ_CASES, "large"
    ),
    "safetensors/warm": Work(
        "Load a safetensors file of {large_mib} MiB", "MB", safetensors_loading.CASES, "model"
    ),
    "safetensors/cold": Work(
        "The same, not in the page cache of the gateway",
        "MB",
        safetensors_loading.COLD_CASES,
        "model",
    ),
    "safetensors/local, warm": Work(
        "The same from a local file", "MB", safetensors_loading.LOCAL_CASES, "model"
    ),
    "safetensors/local, cold": Work(
        "The same from a local file, not in the page cache",
        "MB",
        safetensors_loading.LOCAL_COLD_CASES,
        "model",
    ),
    "dcp/whole": Work(
        "Load a distributed checkpoint of {large_mib} MiB", "MB", dcp.cases(dcp.WHOLE), objects=None
    ),
    "dcp/tenth": Work("A tenth of its tensors", "MB", dcp.cases(dcp.TENTH), objects=None),
    "dcp/rows": Work("A tenth of the rows of each", "MB", dcp.cases(dcp.ROWS), objects=None),
    "dcp/s3": Work(
        "The whole on an S3 server in Python", "MB", dcp.s3_cases(dcp.WHOLE), objects=None
    ),
    "dcp/s3, tenth": Work("A tenth on that server", "MB", dcp.s3_cases(dcp.TENTH), objects=None),
    "models/cold": Work(
        "Load a model of {large_mib} MiB from the store", "MB", models.COLD_CASES, "model_files"
    ),
    "models/warm": Work(
        "Load it once more on the same machine", "MB", models.WARM_CASES, "model_files"
    ),
    **{
        f"train/transport, {kind}": Work(title, "samples", transport.cases(kind), objects=None)
        for kind, title in transport.TITLES.items()
    },
    "train/one process": Work(
        "Shuffled batches of 32, one process", "samples", training.ONE_PROCESS_CASES, "shards"
    ),
    "train/2 workers, bytes": Work(
        "Shuffled batches of 32, 2 workers", "samples", training.BYTES_CASES, "shards"
    ),
    "train/2 workers, decoded": Work(
        "The same, JPEG of 224 x 224 decoded by Pillow",
        "samples",
        training.decoded_cases("pictures"),
        "pictures",
    ),
    "train/2 workers, arrays": Work(
        "The same, stored pixels of 224 x 224 copied",
        "samples",
        training.decoded_cases("arrays"),
        "arrays",
    ),
    "train/decode": Work(
        "The same, JPEG of 256 x 256 into tensors", "samples", decoding.CASES, "photos"
    ),
    "train/first batch": Work(
        "The first batch of 32 of {many:,} shards, 2 workers",
        "samples",
        training_limits.FIRST_CASES,
        "many",
        figure="first_ms",
    ),
    "train/state": Work(
        "State of {many:,} shards",
        "states",
        training_limits.STATE_CASES,
        "many",
        max_turns=1,
        figure="cpu_us",
    ),
    "train/memory": Work(
        "Memory of a worker over torch's own",
        "samples",
        training_limits.MEMORY_CASES,
        "shards",
        max_turns=1,
        figure="memory_mb",
    ),
    "train/50 epochs": Work(
        "Growth over {epochs} epochs",
        "samples",
        training_limits.EPOCHS_CASES,
        "pictures",
        max_turns=1,
        figure="memory_mb",
    ),
}


def check(work: str, corpus: Corpus, size_bytes: float) -> None:
    """Check that the reader delivered everything.

    Raises:
        ValueError: It did not, so that its figures cannot be compared.
    """
    samples = corpus.shards * corpus.samples
    arrays = corpus.pictures * ARRAY_BYTES
    expected = {
        "list": (corpus.listed * TINY_BYTES,),
        "tiny": (corpus.tiny * TINY_BYTES, corpus.tiny // 5 * TINY_BYTES),
        "shards": (samples * FIELDS_BYTES,),
        "wds/one process": (samples * FIELDS_BYTES,),
        "wds/2 workers": (training.EPOCHS * samples * FIELDS_BYTES,),
        "wds/2 workers, batches": (training.EPOCHS * samples * FIELDS_BYTES,),
        **{
            work: (samples * IMAGE_BYTES,) for work in lhotse_reading.CASES if work != "lhotse/urls"
        },
        "pack": (corpus.packed // packing.FOLDERS * packing.FOLDERS * PACKED_BYTES,),
        **dict.fromkeys(
            ("tasks/first", "tasks/second"),
            (corpus.packed // packing.FOLDERS * packing.FOLDERS * PACKED_BYTES,),
        ),
        "fsspec/read_parquet": (corpus.table_rows * 8 * TABLE_COLUMNS,),
        "stream": (corpus.large_bytes,),
        "memory": (corpus.large_bytes,),
        "file": (corpus.large_bytes,),
        "checkpoint/write": (corpus.large_bytes,),
        "checkpoint/read": (corpus.large_bytes,),
        **dict.fromkeys(
            (work for work in WORKS if work.startswith("safetensors/")), (corpus.large_bytes,)
        ),
        "dcp/whole": (dcp.loaded_bytes(corpus, dcp.WHOLE),),
        "dcp/s3": (dcp.loaded_bytes(corpus, dcp.WHOLE),),
        "dcp/tenth": (dcp.loaded_bytes(corpus, dcp.TENTH),),
        "dcp/rows": (dcp.loaded_bytes(corpus, dcp.ROWS),),
        "dcp/s3, tenth": (dcp.loaded_bytes(corpus, dcp.TENTH),),
        "models/cold": (MODEL_FILES * corpus.model_file_bytes,),
        "models/warm": (MODEL_FILES * corpus.model_file_bytes,),
        **{
            f"train/transport, {kind}": (sample_bytes * transport.samples(corpus),)
            for kind, sample_bytes in transport.SAMPLE_BYTES.items()
        },
        "train/one process": (samples * FIELDS_BYTES,),
        "train/2 workers, bytes": (training.EPOCHS * samples * FIELDS_BYTES,),
        "train/2 workers, decoded": (training.EPOCHS * arrays,),
        "train/2 workers, arrays": (training.EPOCHS * arrays,),
        "train/decode": (decoding.EPOCHS * corpus.photos * PHOTO_BYTES,),
        "train/first batch": tuple(count * FIELDS_BYTES for count in range(1, BATCH + 1)),
        "train/state": (training_limits.STATES,),
        "train/memory": (samples * FIELDS_BYTES,),
        "train/50 epochs": (corpus.epochs * corpus.pictures,),
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
