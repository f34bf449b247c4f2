"""Files of a folder into tar shards on the server."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus import PACKED_BYTES, Corpus
from measuring import READY, Items, temporary_folder

FOLDERS = 10
SHARD_BYTES = 256 * 1024 * 1024


def pack_aisio(corpus: Corpus) -> Items:
    """`aisio pack`: shards and index."""
    with files(corpus) as folder:
        url = empty_prefix(corpus, "pack")
        yield READY
        run(corpus, f"{AISIO} pack {folder} {url} --no-shuffle")
        yield from each_file(corpus)


def write_aisio(corpus: Corpus) -> Items:
    """A loop over `ShardWriter`: shards and index."""
    from aisio import Client, ShardWriter

    with files(corpus) as folder:
        url = empty_prefix(corpus, "writer")
        yield READY
        with ShardWriter(url, client=Client(corpus.endpoint)) as writer:
            for path in sorted(folder.rglob("*.jpg")):
                key = str(path.relative_to(folder).with_suffix(""))
                writer.write({"__key__": key, "jpg": path.read_bytes()})
        yield from each_file(corpus)


def tar_and_put(corpus: Corpus) -> Items:
    """`tar` piped into `aisio put`, one shard after the other, without an index."""
    with files(corpus) as folder:
        url = empty_prefix(corpus, "tar")
        names = sorted(path.name for path in folder.iterdir())
        # What has room in a shard: whole folders, each of as many files.
        member_bytes = 512 + -(-PACKED_BYTES // 512) * 512
        folder_bytes = corpus.packed // FOLDERS * member_bytes
        each = max(1, SHARD_BYTES // folder_bytes)
        yield READY
        for number, start in enumerate(range(0, len(names), each)):
            some = " ".join(names[start : start + each])
            run(corpus, f"tar -C {folder} -c {some} | {AISIO} put - {url}{number:06d}.tar")
        yield from each_file(corpus)


AISIO = f"{shlex.quote(sys.executable)} -m aisio"


def run(corpus: Corpus, command: str) -> None:
    """Run a command of the shell."""
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        check=True,
        capture_output=True,
        env=os.environ | {"AIS_ENDPOINT": corpus.endpoint},
    )


def each_file(corpus: Corpus) -> Items:
    """Yield the size of each file."""
    for _ in range(corpus.packed // FOLDERS * FOLDERS):
        yield PACKED_BYTES


def empty_prefix(corpus: Corpus, name: str) -> str:
    """Return a URL to write to, of which the last turn has left nothing."""
    from aisio import Client

    bucket = Client(corpus.endpoint).bucket(corpus.bucket).create(exist_ok=True)
    for info in bucket.list(f"packed/{name}/"):
        bucket.object(info.name).delete()
    return f"ais://{corpus.bucket}/packed/{name}/"


@contextmanager
def files(corpus: Corpus) -> Iterator[Path]:
    """Yield folders of files, which were just written."""
    noise = random.Random(0).randbytes(1024 * 1024)
    with temporary_folder() as folder:
        for name in range(FOLDERS):
            Path(folder, f"{name}").mkdir()
            for number in range(corpus.packed // FOLDERS):
                start = (name + number) * 37 % (len(noise) - PACKED_BYTES)
                path = Path(folder, f"{name}", f"{number:06d}.jpg")
                path.write_bytes(noise[start : start + PACKED_BYTES])
        yield folder


CASES = {
    "aisio pack": pack_aisio,
    "aisio ShardWriter": write_aisio,
    "tar into aisio put": tar_and_put,
}
