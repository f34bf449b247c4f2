"""A training job from end to end: pack, serve, name, list, load, train, be killed, go on, plot."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.data.datapipes.iter import IterableWrapper

import aisio
import aisio.datapipes

from .data import write_digits
from .picture import draw
from .train import EPOCHS, GOAL, HELD_OUT, TRAIN
from .watch import Run, train

AISIO = Path(sys.executable).with_name("aisio")
BUILD = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2] / "build" / "demo"
"""Where all is made."""
CATALOG = Path(__file__).parents[1] / "catalog"
KILL_AT = 1, 17
"""The second epoch, and a batch behind one that was saved."""
LOOKED_AT = "digits/samples"
"""Name in the catalog of the held-out digits, as files."""


def main() -> int:
    """Run the demo; return 1 if a digit came twice or not at all, or the network did not learn."""
    samples, store = fresh_folder("samples"), fresh_folder("store")
    count = write_digits(samples)
    print(f"== {count:,} digits written to {samples}, as PNG images in a folder for each class")
    with serve(store) as endpoint:
        os.environ["AIS_ENDPOINT"] = endpoint
        options = ("--labels-from-folder", "--shuffle", "--split=train=0.8,val=0.2")
        run_aisio(
            "pack", str(samples), "ais://digits", *options, "--samples=360", "--create-bucket"
        )
        pin_catalog()
        shards = list_shards(endpoint)
        load_shard(shards[0], endpoint)
        load_folder()
        run = train_and_kill()
        keys = aisio.AISShardDataset(TRAIN, full_key=True).names
        size_bytes = sum(one.size_bytes or 0 for one in aisio.source(TRAIN).list())
    came_once = all_came_once(run, keys)
    picture = BUILD / "run.png"
    draw(run, picture, goal=GOAL)
    print_table(shards, run, size_bytes)
    print(f"\nThe run as a picture: {picture}")
    if run.accuracies[-1] < GOAL:
        print(f"The network did not reach {GOAL:.0%} in {EPOCHS} epochs.", file=sys.stderr)
        return 1
    return 0 if came_once else 1


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


def pin_catalog() -> None:
    """Pin the names of the catalog to the objects that are served now."""
    folder = BUILD / "catalog"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CATALOG, folder)
    os.environ["AISIO_CATALOG"] = str(folder)
    os.environ["AISIO_CACHE_DIR"] = str(fresh_folder("cache"))
    run_aisio("catalog", "pin", "-c", str(folder))


def list_shards(endpoint: str) -> list[str]:
    """List the shards with the listing datapipe."""
    urls = list(IterableWrapper([TRAIN, HELD_OUT]).ais_list_files(url=endpoint))
    shards = [url for url in urls if url.endswith(".tar")]
    print(f"== {len(urls)} objects listed, of these {len(shards)} shards: {shards[0]} ...")
    return shards


def load_shard(url: str, endpoint: str) -> None:
    """Load one shard with the loading datapipe."""
    for name, stream in IterableWrapper([url]).ais_load_files(url=endpoint):
        print(f"== {name} loaded: {len(stream.read()):,} bytes")


def load_folder() -> None:
    """Load the held-out digits as files, to look at them."""
    folder = aisio.load(LOOKED_AT)
    files = [one for one in folder.rglob("*") if one.is_file()]
    print(f"== {LOOKED_AT} loaded: {len(files)} files in {folder}")


def train_and_kill() -> Run:
    """Train, kill the training in its second epoch, and start it again."""
    run, checkpoint = Run(), fresh_folder("checkpoints") / "checkpoint.pt"
    print(f"== training on {TRAIN}, to be killed in epoch 2; 2 workers decode", flush=True)
    train(checkpoint, run, kill_at=KILL_AT)
    killed = run.steps[-1]
    print(
        f"== killed by SIGKILL at batch {killed.batch} of epoch {killed.epoch + 1}; started again"
    )
    train(checkpoint, run)
    return run


def all_came_once(run: Run, keys: Collection[str]) -> bool:
    """Count how often each digit came in each epoch, and say whether it was once."""
    for epoch in range(len(run.accuracies)):
        if wrong := run.wrong_keys(epoch, keys):
            print(
                f"epoch {epoch + 1}: {len(wrong)} digits came twice or not at all: {wrong[:5]} ..."
            )
            return False
    epoch, batch = run.went_on_behind
    before = sum(len(step.keys) for step in run.of_epoch(epoch) if step.batch <= batch)
    print(
        f"== epoch {epoch + 1}: {before:,} digits before the kill and {len(keys) - before:,} after "
        f"it, each of the {len(keys):,} exactly once; likewise in the other epochs"
    )
    return True


def print_table(shards: list[str], run: Run, size_bytes: int) -> None:
    """Print the run in numbers."""
    epochs = len(run.accuracies)
    samples = sum(len(step.keys) for step in run.steps)
    seconds = sum(step.seconds for step in run.steps)
    rows = {
        "shards": f"{len(shards)}",
        "samples trained on": f"{samples:,} in {epochs} epochs",
        "speed": f"{samples / seconds:,.0f} samples/s",
        "read from the server": f"{size_bytes * epochs / seconds / 1e6:,.1f} MB/s",
        "time to the first batch": f"{run.first_batch_s:.2f} s",
        "accuracy, held-out digits": f"{run.accuracies[-1]:.1%}",
    }
    width = max(map(len, rows))
    print("\n" + "\n".join(f"{label:<{width}}  {value:>24}" for label, value in rows.items()))


if __name__ == "__main__":
    sys.exit(main())
