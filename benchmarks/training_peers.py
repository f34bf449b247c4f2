"""Measure aisio beside libraries that shuffle and resume, each on its own format.

    make bench                       with all else, where the peers are installed
    python training_peers.py         alone; says how to install the peers if they are missing

webdataset and aisio read tar shards, mosaicml-streaming MDS shards, and litdata chunks, which are
made from the same samples. All of them are read from a folder; aisio and webdataset also from the
gateway, or from AIS_ENDPOINT. Three things are compared: speed, the first batch after a stop in the
middle of an epoch, and whether each sample comes exactly once when other ranks or workers go on.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from aisio import Client
from aisio.gateway import Gateway
from corpus import Corpus, make_shard, store
from loaders import BATCH, WORKERS
from peer_runner import Entrant, JobError, Result, Runner
from peer_tables import exactness_lines, speed_lines, verdict
from peers import http_urls
from training_job import Job

WORK = "train/peers"
"""What `make bench` calls it."""

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "bench"
PEERS_PYTHON = ROOT / "build" / "peers" / "bin" / "python"
PACKAGES = {"streaming": "mosaicml-streaming==0.13.0", "litdata": "litdata==0.2.76"}

SMALL_BATCH, STOP = 8, 37
"""Where exactness is tried: samples of a batch, and after how many batches in all it stops."""


ENTRANTS = (
    Entrant("aisio, tar shards", "aisio"),
    Entrant("webdataset, tar shards", "webdataset", has_state=False),
    Entrant("mosaicml-streaming, MDS shards", "mosaicml-streaming", is_peer=True),
    Entrant("litdata, chunks", "litdata", is_peer=True),
    Entrant("aisio, tar shards on the server", "aisio", is_served=True),
    Entrant("webdataset, tar shards on the server", "webdataset", is_served=True, has_state=False),
)


class Topology(NamedTuple):
    """Ranks, workers of each, and samples of a batch."""

    ranks: int
    workers: int
    batch: int = SMALL_BATCH

    def __str__(self) -> str:
        return f"{self.ranks} x {self.workers}, {self.batch}"


CHANGES = {
    Topology(1, 2): (
        Topology(1, 2),
        Topology(1, 3),
        Topology(1, 0),
        Topology(1, 2, 6),
        Topology(2, 2),
    ),
    Topology(2, 2): (Topology(1, 2),),
}
"""What is stopped in the middle of an epoch, and what goes on then."""


@dataclass(frozen=True)
class Samples:
    """Tar shards in a folder, and on the server.

    Attributes:
        folder: Where they are; the peers' formats are beside it.
        shards: Their number.
        each: Number of samples in each.
        url: Where they are on the server.
        http_url: The same for curl.
    """

    folder: Path
    shards: int
    each: int
    url: str
    http_url: str

    @classmethod
    def make(cls, folder: Path, corpus: Corpus) -> Samples:
        """Store tar shards in a folder and on the server."""
        folder.mkdir()
        noise = random.Random(0).randbytes(200_000)
        for number, name in enumerate(corpus.shard_names):
            data = make_shard(noise, corpus.samples, number)
            (folder / Path(name).name).write_bytes(data)
        store(corpus, ["shards"])
        (first, *_) = http_urls(corpus, corpus.shard_names)
        return cls(
            folder,
            corpus.shards,
            corpus.samples,
            f"ais://{corpus.bucket}/shards/",
            f"{first.rpartition('/')[0]}/",
        )

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.shards * self.each

    def job(self, entrant: Entrant, **fields: Any) -> Job:
        """Return a job of an entrant."""
        url = ""
        if entrant.is_served:
            url = self.http_url if entrant.reader == "webdataset" else self.url
        return Job(
            entrant.reader,
            tars=str(self.folder),
            own=f"{self.folder}-{entrant.reader}",
            url=url,
            shard_samples=self.each,
            **fields,
        )


class Speed:
    """How fast the entrants read, and how soon they begin.

    Args:
        runner: Runs the jobs.
        samples: What is read.
    """

    def __init__(self, runner: Runner, samples: Samples) -> None:
        self._runner = runner
        self._samples = samples
        self._state = samples.folder.with_name("half.json")
        self.figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def prepare(self, entrant: Entrant) -> None:
        """Write the entrant's own format, or its index."""
        if entrant.reader != "webdataset":
            (result,) = self._runner.run(entrant, self._samples.job(entrant, write=True))
            self.figures[entrant.name]["prepare_s"].append(result["wall_s"])

    def turn(self, entrant: Entrant) -> None:
        """Measure all once."""
        figures = self.figures[entrant.name]
        for workers in (0, WORKERS):
            epochs = 2 if workers else 1
            result = self._run(entrant, workers=workers, epochs=epochs)
            if result["samples"] != epochs * self._samples.count:
                raise JobError(f"{result['samples']:,} samples came in {epochs} epochs")
            figures[f"rate_{workers}"].append(result["samples"] / result["wall_s"])
            figures[f"cpu_us_{workers}"].append(result["cpu_s"] / result["samples"] * 1e6)
        figures["first_s"].append(self._run(entrant, workers=WORKERS, stop=1)["first_s"])
        half = self._samples.count // BATCH // 2
        state = f"{self._state}-{entrant.reader}" if entrant.has_state else ""
        to_half = self._run(entrant, workers=WORKERS, stop=half, save=state)
        resumed_s = to_half["wall_s"]
        if entrant.has_state:
            resumed_s = self._run(entrant, workers=WORKERS, stop=1, load=state)["first_s"]
        figures["resumed_s"].append(resumed_s)

    def _run(self, entrant: Entrant, **fields: Any) -> Result:
        (result,) = self._runner.run(entrant, self._samples.job(entrant, batch=BATCH, **fields))
        return result


class Exactness:
    """Which samples an entrant gives before a stop in the middle of an epoch, and behind it.

    Args:
        runner: Runs the jobs.
        entrant: The entrant.
        samples: What is read.
    """

    def __init__(self, runner: Runner, entrant: Entrant, samples: Samples) -> None:
        self._runner = runner
        self._entrant = entrant
        self._samples = samples
        self._state = str(samples.folder.with_name(f"{entrant.reader}.json"))

    def verdicts(self, before: Topology, changes: Sequence[Topology]) -> Iterator[str]:
        """Stop once, go on with each of other topologies, and say what came in all."""
        try:
            first = self._read(before, stop=STOP // before.ranks, save=self._state)
        except JobError as error:
            yield from [f"fails: {error}"] * len(changes)
            return
        for after in changes:
            try:
                yield verdict(first + self._read(after, load=self._state), self._samples.count)
            except JobError as error:
                yield f"fails: {error}"

    def _read(self, topology: Topology, **fields: Any) -> list[str]:
        ranks, workers, batch = topology
        job = self._samples.job(
            self._entrant, batch=batch, workers=workers, with_keys=True, **fields
        )
        # The first rank's state is the one to keep: for aisio it is that of all.
        jobs = [job, *[replace(job, save="")] * (ranks - 1)]
        return [key for result in self._runner.run(self._entrant, *jobs) for key in result["keys"]]


def what_is_missing(peers_python: Path) -> str:
    """Return how to install what is missing of the peers; nothing where they are there."""
    imports = "\n".join(
        f"try: import {module}\nexcept ImportError: print({package!r})"
        for module, package in PACKAGES.items()
    )
    missing = " ".join(PACKAGES.values())
    if peers_python.exists():
        done = subprocess.run(
            [str(peers_python), "-W", "ignore", "-c", imports],
            check=False,
            capture_output=True,
            text=True,
        )
        if not done.returncode:
            missing = " ".join(done.stdout.split())
        if not missing:
            return ""
    folder = peers_python.parents[1]
    return (
        f"The peers are not measured: {peers_python} lacks {missing}. To install them apart from"
        f" aisio, in 5 GB:\n\n    {sys.executable} -m venv {folder}\n"
        f"    {folder}/bin/pip install {' '.join(PACKAGES.values())}\n"
    )


@contextmanager
def endpoint_to_measure(folder: Path) -> Iterator[str]:
    """Yield the endpoint in AIS_ENDPOINT, or that of a gateway over a folder."""
    if endpoint := os.environ.get("AIS_ENDPOINT"):
        yield endpoint.rstrip("/")
        return
    folder.mkdir()
    with Gateway(folder) as gateway:
        yield gateway.endpoint


def measure(options: argparse.Namespace) -> list[str]:
    """Measure all, and return the lines of the tables."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint = stack.enter_context(endpoint_to_measure(folder / "server"))
        os.environ["AISIO_CACHE_DIR"] = str(folder / "cache")
        runner = Runner(options.peers, endpoint, folder / "cache")
        bucket = f"aisio-peers-{os.getpid()}"
        stack.callback(Client(endpoint).bucket(bucket).delete, missing_ok=True)
        corpus = Corpus(endpoint, bucket, shards=8, samples=options.samples)
        entrants = [one for one in ENTRANTS if options.only in one.name]
        lines = _measure_speed(
            Speed(runner, Samples.make(folder / "speed", corpus)), entrants, options.turns
        )
        small = Samples.make(folder / "small", replace(corpus, bucket=f"{bucket}-s", samples=100))
        stack.callback(Client(endpoint).bucket(f"{bucket}-s").delete, missing_ok=True)
        return [*lines, "", *_measure_exactness(runner, small, entrants)]


def _measure_speed(speed: Speed, entrants: Sequence[Entrant], turns: int) -> list[str]:
    failed: dict[str, str] = {}
    for number in range(-1, turns):
        print(f"== {f'turn {number + 1} of {turns}' if number >= 0 else 'preparing'}", flush=True)
        # Every other turn is in reverse order: no reader always follows the same other one.
        for entrant in entrants[:: -1 if number % 2 else 1]:
            if entrant.name in failed:
                continue
            try:
                speed.turn(entrant) if number >= 0 else speed.prepare(entrant)
            except JobError as error:
                failed[entrant.name] = str(error)
            print(f"   {entrant.name:38} {failed.get(entrant.name, 'done')}", flush=True)
    figures = {one.name: speed.figures[one.name] for one in entrants if one.name not in failed}
    return [
        *speed_lines(figures),
        *(f"\n- {name}, not measured: {reason}" for name, reason in failed.items()),
    ]


def _measure_exactness(
    runner: Runner, samples: Samples, entrants: Sequence[Entrant]
) -> Iterator[str]:
    print("== exactness", flush=True)
    entrants = [one for one in entrants if one.has_state and not one.is_served]
    verdicts: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for entrant in entrants:
        with suppress(JobError):  # the jobs that follow say so
            runner.run(entrant, samples.job(entrant, write=True))
        exactness = Exactness(runner, entrant, samples)
        for before, changes in CHANGES.items():
            for after, came in zip(changes, exactness.verdicts(before, changes), strict=True):
                verdicts[str(before), str(after)][entrant.reader] = came
                print(f"   {before} -> {after}: {entrant.reader:20} {came}", flush=True)
    return exactness_lines(verdicts) if verdicts else iter(())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write them; or say how to install the peers."""
    parser = argparse.ArgumentParser(description="Measure beside libraries on their own formats.")
    parser.add_argument("--turns", type=int, default=2, help="repetitions of each [2]")
    parser.add_argument("--samples", type=int, default=500, help="samples of a shard, of 8 [500]")
    parser.add_argument("--only", default="", help="only readers with this in their names")
    parser.add_argument(
        "--peers", type=Path, default=PEERS_PYTHON, help="Python that has the peers"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the file [build/bench]")
    options = parser.parse_args(arguments)
    if missing := what_is_missing(options.peers):
        print(missing)
        return 2
    lines = measure(options)
    print("\n" + "\n".join(lines))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.md").write_text("\n".join(lines) + "\n")
    print(f"\npeers.md is in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
