"""One job of a training that is measured: `python training_job.py JOB`, under a peer's own Python.

Here are the readers of `training_peers.py`. Each reads what it wrote from the same tar shards, and
this file and `processes.py` import nothing but the standard library and the reader's package.

JOB is JSON with the fields of `Job`; the result is one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from processes import cpu_s

SHUFFLE_BUFFER = 1_000
"""Number of samples in webdataset's buffer, as in its documentation."""

SEED = 7
FIELDS = ("jpg", "cls", "json")


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
        reader: Key of READERS.
        write: Write the reader's own format, in place of reading.
        tars: Folder of the tar shards.
        own: Folder of the reader's own format.
        url: Where the tar shards are on the server; empty where they are read from their folder.
        shard_samples: Number of samples in a shard of the reader's own format.
        batch: Number of samples of a batch.
        workers: Number of worker processes.
        epochs: How many epochs are read.
        stop: After how many batches to stop; 0 reads to the end.
        load: File of the state to go on from, if any.
        save: File that the state is written to behind the last batch, if any.
        with_keys: Return which samples came, in their order.
    """

    reader: str
    write: bool = False
    tars: str = ""
    own: str = ""
    url: str = ""
    shard_samples: int = 1_000
    batch: int = 32
    workers: int = 0
    epochs: int = 1
    stop: int = 0
    load: str = ""
    save: str = ""
    with_keys: bool = False


class Aisio:
    """Loader of aisio, over the tar shards."""

    @staticmethod
    def write(job: Job) -> None:
        """Index the tar shards into the cache."""
        from aisio import AISShardDataset

        AISShardDataset(job.url or f"file://{job.tars}/")

    @staticmethod
    def open(job: Job) -> Any:
        """Return the loader."""
        from aisio import AISShardDataset, Loader

        dataset = AISShardDataset(job.url or f"file://{job.tars}/")
        return Loader(
            dataset,
            job.batch,
            shuffle=True,
            seed=SEED,
            equalize="none",
            num_workers=job.workers,
            **_workers(job),
        )

    @staticmethod
    def samples(batch: Any) -> tuple[list[str], int]:
        """Return the keys of a batch, and its bytes."""
        keys, fields = batch
        return list(keys), sum(len(data) for values in fields.values() for data in values)


class Webdataset:
    """WebLoader of webdataset, over the tar shards; it has no state."""

    @staticmethod
    def open(job: Job) -> Any:
        """Return the loader."""
        import webdataset

        urls = sorted(map(str, Path(job.tars).glob("*.tar")))
        if job.url:
            urls = [f"pipe:curl -s -L '{job.url}{Path(url).name}'" for url in urls]
        dataset = webdataset.WebDataset(
            urls, shardshuffle=len(urls), nodesplitter=webdataset.split_by_node, seed=SEED
        )
        dataset = dataset.shuffle(SHUFFLE_BUFFER).to_tuple("__key__", *FIELDS).batched(job.batch)
        return webdataset.WebLoader(
            dataset, batch_size=None, num_workers=job.workers, **_workers(job)
        )

    @staticmethod
    def samples(batch: Any) -> tuple[list[str], int]:
        """Return the keys of a batch, and its bytes."""
        keys, *fields = batch
        return list(keys), sum(len(data) for values in fields for data in values)


class Mosaicml:
    """StreamingDataset of mosaicml-streaming, over MDS shards in a folder."""

    @staticmethod
    def write(job: Job) -> None:
        """Write the MDS shards."""
        streaming = import_module("streaming")
        columns = {"key": "str", **dict.fromkeys(FIELDS, "bytes")}
        samples = list(samples_of(job.tars))
        each = sum(len(value) for value in samples[0].values()) + 32
        with streaming.MDSWriter(
            out=job.own, columns=columns, size_limit=job.shard_samples * each + 64
        ) as writer:
            for sample in samples:
                writer.write(sample)

    @staticmethod
    def open(job: Job) -> Any:
        """Return the loader; first free the shared memory that a job which was cut short left."""
        streaming = import_module("streaming")
        if "RANK" not in os.environ:
            import_module("streaming.base.util").clean_stale_shared_memory()
        dataset = streaming.StreamingDataset(
            local=job.own, shuffle=True, shuffle_seed=SEED, batch_size=job.batch
        )
        return streaming.StreamingDataLoader(
            dataset, batch_size=job.batch, num_workers=job.workers, **_workers(job)
        )

    @staticmethod
    def samples(batch: Any) -> tuple[list[str], int]:
        """Return the keys of a batch, and its bytes."""
        return list(batch["key"]), sum(len(data) for name in FIELDS for data in batch[name])


class Litdata:
    """StreamingDataset of litdata, over its own chunks in a folder."""

    @staticmethod
    def write(job: Job) -> None:
        """Write the chunks."""
        litdata = import_module("litdata")
        litdata.optimize(
            fn=samples_of_tar,
            inputs=sorted(map(str, Path(job.tars).glob("*.tar"))),
            output_dir=job.own,
            chunk_size=job.shard_samples,
            num_workers=1,
            mode="overwrite",
        )

    @staticmethod
    def open(job: Job) -> Any:
        """Return the loader."""
        litdata = import_module("litdata")
        dataset = litdata.StreamingDataset(job.own, shuffle=True, drop_last=False, seed=SEED)
        return litdata.StreamingDataLoader(
            dataset,
            batch_size=job.batch,
            num_workers=job.workers,
            collate_fn=_columns,
            **_workers(job),
        )

    samples = Mosaicml.samples


READERS: dict[str, Any] = {
    "aisio": Aisio,
    "webdataset": Webdataset,
    "mosaicml-streaming": Mosaicml,
    "litdata": Litdata,
}


def samples_of(folder: str) -> Iterator[dict[str, Any]]:
    """Yield the samples of the tar shards in a folder: a key and the fields."""
    for path in sorted(Path(folder).glob("*.tar")):
        yield from samples_of_tar(str(path))


def samples_of_tar(path: str) -> Iterator[dict[str, Any]]:
    """Yield the samples of a tar shard."""
    with tarfile.open(path) as tar:
        sample: dict[str, Any] = {}
        for member in tar:
            key, _, extension = member.name.partition(".")
            if sample and sample["key"] != key:
                yield sample
                sample = {}
            file = tar.extractfile(member)
            assert file is not None
            sample |= {"key": key, extension: file.read()}
        if sample:
            yield sample


def run(job: Job) -> dict[str, Any]:
    """Do a job, and return its figures."""
    reader = READERS[job.reader]
    if job.write:
        started = time.perf_counter()
        reader.write(job)
        return {"wall_s": time.perf_counter() - started}
    loader = reader.open(job)
    if job.load:
        loader.load_state_dict(json.loads(Path(job.load).read_text()))
    first_s, started = 0.0, time.perf_counter()
    cpu = cpu_s()
    keys: list[str] = []
    count = size_bytes = batches = 0
    for _ in range(job.epochs):
        for batch in loader:
            first_s = first_s or time.perf_counter() - started
            own, own_bytes = reader.samples(batch)
            count += len(own)
            size_bytes += own_bytes
            batches += 1
            if job.with_keys:
                keys += own
            if batches == job.stop:
                break
    wall_s = time.perf_counter() - started
    if job.save:
        Path(job.save).write_text(json.dumps(loader.state_dict()))
    return {
        "samples": count,
        "bytes": size_bytes,
        "batches": batches,
        "wall_s": wall_s,
        "cpu_s": cpu_s() - cpu,
        "first_s": first_s,
        "keys": keys,
    }


def _columns(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Collate for litdata, whose bytes are memoryviews: torch would make a tensor of each byte."""
    return {
        name: [value if isinstance(value, str) else bytes(value) for value in values]
        for name, values in ((name, [one[name] for one in samples]) for name in samples[0])
    }


def _workers(job: Job) -> Mapping[str, Any]:
    """Return options of the DataLoader that it accepts with workers alone."""
    return {"persistent_workers": True} if job.workers and job.epochs > 1 else {}


def main(text: str) -> None:
    """Do the job that JSON says, and print the result as the last line."""
    print(json.dumps(run(Job(**json.loads(text)))))
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
