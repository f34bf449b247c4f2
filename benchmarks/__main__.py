"""Measure aisio beside its peers, in one run, on the same objects.

    make bench                              on an embedded gateway
    AIS_ENDPOINT=http://... make bench      on a cluster

Each measurement is a process of its own; the readers take turns, and the table shows medians over
the turns. An absolute figure moves by 2x from run to run and machine to machine: compare within one
table only.
"""

from __future__ import annotations

import io
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aisio import Client
from aisio.gateway import Gateway
from cases import CASES

TURNS = 5
SHARDS, SAMPLES, IMAGE_BYTES = 8, 1000, 70_000
RESULTS = Path(__file__).parents[1] / "build" / "bench" / "results.json"


def main() -> None:
    """Build the corpus, let every case have its turns, print the table and write the JSON."""
    with endpoint_to_measure() as endpoint, corpus(endpoint) as bucket:
        turns = [run(case, endpoint, bucket) for _ in range(TURNS) for case in CASES]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(turns, indent=1))
    print_table(turns)
    print(f"\nevery single measurement: {RESULTS}")


@contextmanager
def endpoint_to_measure() -> Iterator[str]:
    """Give the cluster that AIS_ENDPOINT names, or a gateway over a temporary folder."""
    given = os.environ.get("AIS_ENDPOINT")
    if given:
        print(f"== measuring on {given}")
        yield given
        return
    with tempfile.TemporaryDirectory() as folder, Gateway(folder) as gateway:
        print(f"== measuring on an embedded gateway, {gateway.endpoint}")
        yield gateway.endpoint


@contextmanager
def corpus(endpoint: str) -> Iterator[str]:
    """Fill a bucket with shards, and destroy it afterwards."""
    print(
        f"== storing {SHARDS} shards of {SAMPLES} samples, "
        f"each of {IMAGE_BYTES:,} bytes and two small fields"
    )
    bucket = Client(endpoint).bucket(f"aisio-bench-{os.getpid()}").create()
    try:
        for number in range(SHARDS):
            bucket.object(f"shard-{number:06d}.tar").put(make_shard(number))
        yield bucket.name
    finally:
        bucket.delete()


def make_shard(number: int) -> bytes:
    """Make one shard of random bytes, the same for the same number."""
    noise = random.Random(number)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for sample in range(SAMPLES):
            fields = {
                "jpg": noise.randbytes(IMAGE_BYTES),
                "cls": b"%d" % sample,
                "json": b'{"width": 256}',
            }
            for extension, data in fields.items():
                member = tarfile.TarInfo(f"{number:03d}{sample:05d}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def run(case: str, endpoint: str, bucket: str) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    script = Path(__file__).with_name("cases.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, case, endpoint, bucket],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"   {case:24} {figures['items'] / figures['wall_s']:8,.0f} items/s")
    return figures


def print_table(turns: list[dict[str, Any]]) -> None:
    """Print a table in Markdown, medians over the turns."""
    print("\n| case | items/s | MB/s | CPU us/item | first item, ms | peak memory, MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in CASES:
        rows = [turn for turn in turns if turn["case"] == case]
        cells = (
            median(row["items"] / row["wall_s"] for row in rows),
            median(row["bytes"] / row["wall_s"] / 1e6 for row in rows),
            median(row["cpu_s"] / row["items"] * 1e6 for row in rows),
            median(row["first_s"] * 1e3 for row in rows),
            median(row["peak_bytes"] / 1e6 for row in rows),
        )
        print(f"| {case} | " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |")


def median(values: Iterator[float]) -> float:
    """Return the median."""
    return statistics.median(values)


if __name__ == "__main__":
    main()
