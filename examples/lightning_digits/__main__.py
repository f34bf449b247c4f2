"""Serve digits, train on them, kill the training, and have it go on."""

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

import click
from digits.data import write_digits

AISIO = str(Path(sys.executable).with_name("aisio"))
BUILD = Path(__file__).parents[2] / "build" / "lightning_digits"
KILL_AT = 47
"""A step in the middle of the second epoch, behind one that was saved."""

GOAL = 0.93
SAMPLES = 300
"""Samples in each shard; the last one has the rest."""


@click.command()
@click.argument("folder", default=BUILD, type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Run the example in FOLDER, which must be a new one."""
    if folder == BUILD:
        shutil.rmtree(BUILD, ignore_errors=True)
    samples, store = folder / "samples", folder / "store"
    store.mkdir(parents=True)
    print(f"== {write_digits(samples):,} digits, packed into shards and served")
    bucket = f"file://{store}/digits"
    command = [AISIO, "pack", str(samples), bucket, "--labels-from-folder", f"--samples={SAMPLES}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with serve(store) as endpoint:
        killed, _ = train(folder, endpoint, f"--kill-at={KILL_AT}")
        status, output = train(folder, endpoint)
    if killed >= 0 or status or "begins at step 40, in epoch 1" not in output:
        raise SystemExit("The training did not go on where it was killed.")
    if float(re.findall(r"accuracy ([\d.]+)%", output)[-1]) < 100 * GOAL:
        raise SystemExit(f"The network did not reach {GOAL:.0%}.")


def train(folder: Path, endpoint: str, *arguments: str) -> tuple[int, str]:
    """Run the training; return its exit status, below 0 if it was killed, and what it printed."""
    command = ["python", "-m", "lightning_digits.train", str(folder / "checkpoints"), *arguments]
    print(f"$ {shlex.join(command)}", flush=True)
    settings = {"AIS_ENDPOINT": endpoint, "AISIO_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    print("killed" if done.returncode < 0 else f"ended with status {done.returncode}", flush=True)
    return done.returncode, done.stdout


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port; yield the server's address."""
    command = [AISIO, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stdout or ():
                if address := re.search(r"http://\S+", line):
                    yield address[0]
                    return
            raise SystemExit("the server ended before it was ready; its message is above")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
