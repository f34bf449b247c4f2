"""The objects to read: the same for every reader, stored once and deleted afterwards."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial

from aisio import Bucket, Client, NotFoundError

TINY_BYTES, SMALL_BYTES, IMAGE_BYTES = 1_000, 100_000, 70_000
LARGE = "large/object"
NOTE = "corpus.json"
"""Name of the description, which is stored last: where it exists, the corpus is complete."""

WRITERS = 8


@dataclass(frozen=True)
class Corpus:
    """Where the objects are, and how many of each kind.

    Attributes:
        endpoint: The cluster's proxy, or a gateway.
        bucket: Name of the bucket.
        listed: Number of 1 KB objects, all of which are listed.
        tiny: How many of these are read.
        small: Number of 100 KB objects.
        shards: Number of tar shards.
        samples: Number of samples in each shard, of a 70 KB image and two small fields.
        large_bytes: Size of the one large object.
    """

    endpoint: str
    bucket: str
    listed: int = 20_000
    tiny: int = 10_000
    small: int = 2_000
    shards: int = 8
    samples: int = 1_000
    large_bytes: int = 512 * 1024 * 1024

    def tenth(self) -> Corpus:
        """Return a corpus of a tenth of the size, for a small machine or a quick run."""
        return replace(
            self,
            listed=self.listed // 10,
            tiny=self.tiny // 10,
            small=self.small // 10,
            samples=self.samples // 10,
            large_bytes=self.large_bytes // 10,
        )

    @property
    def tiny_names(self) -> list[str]:
        """Names of the tiny objects that are read."""
        return [f"tiny/{number:06d}" for number in range(self.tiny)]

    @property
    def few_tiny_names(self) -> list[str]:
        """Names of a fifth of them, for readers that would take minutes for all of them."""
        return self.tiny_names[: self.tiny // 5]

    @property
    def small_names(self) -> list[str]:
        """Names of the 100 KB objects."""
        return [f"small/{number:06d}" for number in range(self.small)]

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards."""
        return [f"shards/{number:06d}.tar" for number in range(self.shards)]

    def to_json(self) -> str:
        """Return the corpus as one line of JSON, for a measuring process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Corpus:
        """Return the corpus of `to_json`."""
        return cls(**json.loads(text))


def is_stored(corpus: Corpus) -> bool:
    """Return whether an earlier run has left this corpus in its bucket."""
    try:
        note = Client(corpus.endpoint).bucket(corpus.bucket).object(NOTE).get()
    except NotFoundError:
        return False
    return _sizes(Corpus.from_json(note.decode())) == _sizes(corpus)


def store(corpus: Corpus) -> None:
    """Store the corpus, several objects at a time."""
    bucket = Client(corpus.endpoint).bucket(corpus.bucket).create(exist_ok=True)
    noise = random.Random(0).randbytes(SMALL_BYTES + 100_000)
    tiny = [f"tiny/{number:06d}" for number in range(corpus.listed)]
    _put(bucket, tiny, lambda number: _cut(noise, number, TINY_BYTES))
    _put(bucket, corpus.small_names, lambda number: _cut(noise, number, SMALL_BYTES))
    _put(bucket, corpus.shard_names, partial(make_shard, noise, corpus.samples))
    bucket.object(LARGE).put((noise * (corpus.large_bytes // len(noise) + 1))[: corpus.large_bytes])
    bucket.object(NOTE).put(corpus.to_json().encode())


def make_shard(noise: bytes, samples: int, number: int) -> bytes:
    """Return a shard; its bytes depend on nothing but the arguments."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for sample in range(samples):
            for extension, data in _fields(noise, number * samples + sample):
                member = tarfile.TarInfo(f"{number:03d}{sample:05d}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _fields(noise: bytes, number: int) -> Iterator[tuple[str, bytes]]:
    yield "jpg", _cut(noise, number, IMAGE_BYTES)
    yield "cls", b"%04d" % (number % 1000)
    yield "json", b'{"width": 256}'


FIELDS_BYTES = IMAGE_BYTES + 4 + 14


def _put(bucket: Bucket, names: Sequence[str], data: Callable[[int], bytes]) -> None:
    def put(number: int) -> None:
        bucket.object(names[number]).put(data(number))

    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(put, range(len(names))):
            pass


def _cut(noise: bytes, number: int, size: int) -> bytes:
    start = number * 37 % (len(noise) - size)
    return noise[start : start + size]


def _sizes(corpus: Corpus) -> Corpus:
    return replace(corpus, endpoint="", bucket="")
