"""A training job from end to end: pack, serve, name, list, load, train and plot."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio
import aisio.datapipes

from .data import write_digits
from .picture import draw
from .train import Batches, Run, train

AISIO = Path(sys.executable).with_name("aisio")
BUILD = Path(__file__).parents[2] / "build" / "demo"
CATALOG = Path(__file__).parents[1] / "catalog"
GOAL = 0.95
EPOCHS = 30
SAMPLES = 300
"""Samples in each shard; the last one has the rest."""
SEED = 0
TRAIN, HELD_OUT, LOOKED_AT = "digits/train", "digits/held-out", "digits/samples"
"""Names of the data in the catalog."""


def main() -> int:
    """Run the demo; return 1 if the network did not learn."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # leaves cores to the workers and the server: twice as fast on two
    samples, store = fresh_folder("samples"), fresh_folder("store")
    count = write_digits(samples, seed=SEED)
    print(f"== {count:,} digits written to {samples}, as PNG images and classes")
    bucket = f"file://{store}/digits"
    run_aisio("pack", str(samples), bucket, "--prefix=train", f"--samples={SAMPLES}")
    with serve(store) as endpoint:
        pin_catalog(endpoint)
        urls = list_shards(endpoint)
        load_shard(urls[0], endpoint)
        load_folder()
        run, size_bytes = train_by_name(endpoint)
    picture = BUILD / "run.png"
    draw(run, picture, goal=GOAL)
    print_table(urls, run, size_bytes)
    print(f"\nThe run as a picture: {picture}")
    if run.accuracies[-1] < GOAL:
        print(f"The network did not reach {GOAL:.0%} in {EPOCHS} epochs.", file=sys.stderr)
        return 1
    return 0


def fresh_folder(name: str) -> Path:
    """Return an empty folder below build/demo."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run_aisio(*arguments: str) -> None:
    """Run a command of aisio, after printing its command line."""
    print(f"$ aisio {shlex.join(arguments)}", flush=True)
    if subprocess.run([AISIO, *arguments], check=False).returncode:
        raise SystemExit(f"aisio {arguments[0]} failed; its message is above")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port; yield the server's address."""
    arguments = ["serve", str(folder), "--port", "0"]
    print(f"$ aisio {shlex.join(arguments)} &", flush=True)
    with subprocess.Popen([AISIO, *arguments], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield ready_address(server)
        finally:
            server.terminate()


def ready_address(server: subprocess.Popen[str]) -> str:
    """Return the server's address, which it prints once it accepts connections."""
    for line in server.stdout or ():
        if address := re.search(r"http://\S+", line):
            return address[0]
    raise SystemExit("the server ended before it was ready; its message is above")


def pin_catalog(endpoint: str) -> None:
    """Pin the names of the catalog to the objects that are served now."""
    folder = BUILD / "catalog"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CATALOG, folder)
    os.environ["AISIO_CATALOG"] = str(folder)
    os.environ["AISIO_CACHE_DIR"] = str(fresh_folder("cache"))
    os.environ["AIS_ENDPOINT"] = endpoint
    run_aisio("catalog", "pin", "-c", str(folder))


def list_shards(endpoint: str) -> list[str]:
    """List the shards with the listing datapipe."""
    urls = list(IterableWrapper([TRAIN, HELD_OUT]).ais_list_files(url=endpoint))
    print(f"== {len(urls)} shards listed: {urls[0]} ...")
    return urls


def load_shard(url: str, endpoint: str) -> None:
    """Load one shard with the loading datapipe."""
    for name, stream in IterableWrapper([url]).ais_load_files(url=endpoint):
        print(f"== {name} loaded: {len(stream.read()):,} bytes")


def load_folder() -> None:
    """Load the held-out digits as files, to look at them."""
    folder = aisio.load(LOOKED_AT)
    print(f"== {LOOKED_AT} loaded: {len(list(folder.iterdir()))} files in {folder}")


def train_by_name(endpoint: str) -> tuple[Run, int]:
    """Train on all shards but the one that is held out.

    Returns:
        The run, and the size of the shards trained on, in bytes.
    """
    shards = list(aisio.source(TRAIN).list())
    print(f"== training on the {len(shards)} shards of {TRAIN} with 2 workers")
    run = train(
        load_batches(TRAIN, endpoint, workers=2),
        load_batches(HELD_OUT, endpoint, workers=0),
        samples=len(shards) * SAMPLES,
        goal=GOAL,
        epochs=EPOCHS,
    )
    client = aisio.Client(endpoint)
    return run, sum(client.object(shard.url).head().size_bytes or 0 for shard in shards)


def load_batches(name: str, endpoint: str, *, workers: int) -> Batches:
    """Return batches of samples; each iteration reads the shards again."""
    reader = aisio.AISShardReader(name, endpoint=endpoint)
    return DataLoader(reader, batch_size=50, num_workers=workers, persistent_workers=workers > 0)


def print_table(urls: list[str], run: Run, size_bytes: int) -> None:
    """Print the run in numbers."""
    epochs = len(run.accuracies)
    rows = {
        "objects listed": f"{len(urls)}",
        "samples trained on": f"{run.samples:,} in {epochs} epochs",
        "speed": f"{run.samples / run.seconds:,.0f} samples/s",
        "read from the server": f"{size_bytes * epochs / run.seconds / 1e6:,.1f} MB/s",
        "time to the first batch": f"{run.first_batch_s:.2f} s",
        "accuracy, held-out shard": f"{run.accuracies[-1]:.1%}",
    }
    width = max(map(len, rows))
    print("\n" + "\n".join(f"{label:<{width}}  {value:>24}" for label, value in rows.items()))


if __name__ == "__main__":
    sys.exit(main())
