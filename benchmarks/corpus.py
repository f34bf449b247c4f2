"""The objects to read: the same for every reader, stored once and deleted afterwards."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from aisio import Bucket, Client, NotFoundError
from aisio.formats.safetensors import Header, encode_header

TINY_BYTES, SMALL_BYTES, IMAGE_BYTES = 1_000, 100_000, 70_000
PIXELS = (224, 224, 3)
ARRAY_BYTES = 224 * 224 * 3
PHOTO_BYTES = 256 * 256 * 3
PACKED_BYTES = 20_000
MANY_SAMPLES = 15
"""Number of samples in each of the many shards, so that one has 1 MiB."""

PICTURE_SHARDS, DIFFERENT_PICTURES = 4, 64
LARGE = "large/object"
MODEL = "large/model.safetensors"
TABLE = "large/table.parquet"
TABLE_COLUMNS, TABLE_GROUP_ROWS = 8, 1 << 17
MATRIX_BYTES, VECTOR_BYTES = 32 * 1024 * 1024, 16 * 1024
"""A model has matrices and vectors of these sizes in turn."""

MODEL_FILES = 4
"""Number of files of a model folder; together they have the size of the large object."""

WRITERS = 8

Objects: TypeAlias = Literal[
    "tiny",
    "small",
    "shards",
    "many",
    "pictures",
    "arrays",
    "photos",
    "large",
    "model",
    "model_files",
    "table",
]
"""What can be stored; each kind of work reads one of them."""


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
        large_bytes: Size of the one large object, and of the tensors of the model.
        many: Number of small tar shards, of MANY_SAMPLES samples each.
        pictures: Number of JPEG files of 224 x 224 pixels, and of arrays of that shape, which are
            in PICTURE_SHARDS tar shards each.
        photos: Number of JPEG files of 256 x 256 pixels with a class, in as many shards; as many as
            it takes for the Loader to read them by packs of 1 MiB, as it reads larger data sets.
        packed: Number of files of PACKED_BYTES that are packed into shards.
        epochs: How often the pictures are read to see what is left behind.
        folder: Where the embedded gateway has the objects; "" on a cluster.
    """

    endpoint: str
    bucket: str
    listed: int = 20_000
    tiny: int = 10_000
    small: int = 2_000
    shards: int = 8
    samples: int = 1_000
    large_bytes: int = 512 * 1024 * 1024
    many: int = 1_000
    pictures: int = 2_000
    photos: int = 12_000
    packed: int = 20_000
    epochs: int = 50
    folder: str = ""

    def tenth(self) -> Corpus:
        """Return a corpus of a tenth of the size, for a small machine or a quick run."""
        return replace(
            self,
            listed=self.listed // 10,
            tiny=self.tiny // 10,
            small=self.small // 10,
            samples=self.samples // 10,
            large_bytes=self.large_bytes // 10,
            many=self.many // 10,
            pictures=self.pictures // 10,
            photos=self.photos // 10,
            packed=self.packed // 10,
            epochs=self.epochs // 5,
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
        return self.names("small")

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards."""
        return self.names("shards")

    def names(self, objects: Objects) -> list[str]:
        """Names of the objects of a kind, without the large one."""
        count = {
            "tiny": self.listed,
            "small": self.small,
            "shards": self.shards,
            "many": self.many,
            "model_files": MODEL_FILES,
        }.get(objects, PICTURE_SHARDS)
        return [f"{objects}/{number:06d}{_ENDING.get(objects, '.tar')}" for number in range(count)]

    @property
    def table_rows(self) -> int:
        """Number of rows of the table, so that its columns have the size of the large object."""
        return self.large_bytes // (8 * TABLE_COLUMNS)

    @property
    def model_file_bytes(self) -> int:
        """Size of one file of the model."""
        return self.large_bytes // MODEL_FILES

    def to_json(self) -> str:
        """Return the corpus as one line of JSON, for a measuring process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Corpus:
        """Return the corpus of `to_json`."""
        return cls(**json.loads(text))


_ENDING = {"tiny": "", "small": "", "model_files": ".safetensors"}


def is_stored(corpus: Corpus, objects: Objects) -> bool:
    """Return whether these objects are complete in the bucket, from this run or an earlier one."""
    try:
        note = Client(corpus.endpoint).bucket(corpus.bucket).object(_note(objects)).get()
    except NotFoundError:
        return False
    return _sizes(Corpus.from_json(note.decode())) == _sizes(corpus)


def store(corpus: Corpus, wanted: Iterable[Objects]) -> None:
    """Store objects that are not in the bucket yet, several at a time."""
    bucket = Client(corpus.endpoint).bucket(corpus.bucket).create(exist_ok=True)
    noise = random.Random(0).randbytes(SMALL_BYTES + 100_000)
    for objects in wanted:
        if is_stored(corpus, objects):
            continue
        if objects == "model":
            store_model(corpus, noise)
        elif objects == "table":
            store_table(corpus)
        elif objects == "large":
            repeats = corpus.large_bytes // len(noise) + 1
            bucket.object(LARGE).put((noise * repeats)[: corpus.large_bytes])
        else:
            _put(bucket, corpus.names(objects), _contents(corpus, objects, noise))
        if objects in ("shards", "many", "pictures", "arrays", "photos"):
            write_index(corpus, objects)
        # The description comes last: where it exists, these objects are complete.
        bucket.object(_note(objects)).put(corpus.to_json().encode())


def model_header(corpus: Corpus) -> tuple[bytes, Header]:
    """Return the first bytes of the model, and what it holds."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    left, number = corpus.large_bytes // 2 * 2, 0
    while left:
        size = min(left, VECTOR_BYTES if number % 2 else MATRIX_BYTES)
        tensors[f"model.layers.{number:04d}.weight"] = ("BF16", (size // 2,))
        left, number = left - size, number + 1
    return encode_header(tensors, {"format": "pt"})


def store_model(corpus: Corpus, noise: bytes) -> None:
    """Store the model."""
    start, header = model_header(corpus)
    item = Client(corpus.endpoint).bucket(corpus.bucket).object(MODEL)
    with item.writer() as file:
        file.write(start)
        for at in range(0, header.data_bytes, len(noise)):
            file.write(noise[: header.data_bytes - at])


def store_table(corpus: Corpus) -> None:
    """Store a Parquet file of columns of random numbers, plain and not compressed.

    Raises:
        ImportError: pyarrow is missing.
    """
    import pyarrow
    from pyarrow import parquet

    noise = pyarrow.py_buffer(random.Random(0).randbytes(8 * TABLE_GROUP_ROWS))
    names = [f"c{number}" for number in range(TABLE_COLUMNS)]
    schema = pyarrow.schema([(name, pyarrow.float64()) for name in names])
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False}
    item = Client(corpus.endpoint).bucket(corpus.bucket).object(TABLE)
    with item.writer() as file, parquet.ParquetWriter(file, schema, **options) as writer:
        for start in range(0, corpus.table_rows, TABLE_GROUP_ROWS):
            rows = min(TABLE_GROUP_ROWS, corpus.table_rows - start)
            column = pyarrow.Array.from_buffers(pyarrow.float64(), rows, [None, noise])
            writer.write_table(pyarrow.table([column] * TABLE_COLUMNS, names=names))


def write_index(corpus: Corpus, objects: Objects) -> None:
    """Index shards by `aisio index`; not beside them, where some readers would list the index."""
    url = f"ais://{corpus.bucket}/{objects}/"
    command = [sys.executable, "-m", "aisio", "index", url, "--output", index_url(corpus, objects)]
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        env=os.environ | {"AIS_ENDPOINT": corpus.endpoint},
    )


def index_url(corpus: Corpus, objects: Objects) -> str:
    """Return where the index of shards is."""
    return f"ais://{corpus.bucket}/index/{objects}.aisio-index"


def _note(objects: Objects) -> str:
    return f"corpus/{objects}.json"


def _contents(corpus: Corpus, objects: Objects, noise: bytes) -> Callable[[int], bytes]:
    """Return what makes an object by its number."""
    if objects == "tiny":
        return lambda number: _cut(noise, number, TINY_BYTES)
    if objects == "small":
        return lambda number: _cut(noise, number, SMALL_BYTES)
    if objects == "model_files":
        return lambda _: _model_file(noise, corpus.model_file_bytes)
    if objects == "pictures":
        pictures = [_picture(number) for number in range(DIFFERENT_PICTURES)]
        each = corpus.pictures // PICTURE_SHARDS
        return partial(
            _make_tar, each, lambda number: [("jpg", pictures[number % DIFFERENT_PICTURES])]
        )
    if objects == "photos":
        photos = [_picture(number, 256) for number in range(DIFFERENT_PICTURES)]
        each = corpus.photos // PICTURE_SHARDS
        return partial(_make_tar, each, partial(_photo, photos))
    if objects == "arrays":
        each = corpus.pictures // PICTURE_SHARDS
        return partial(_make_tar, each, lambda number: [("u8", _cut(noise, number, ARRAY_BYTES))])
    return partial(make_shard, noise, MANY_SAMPLES if objects == "many" else corpus.samples)


def make_shard(noise: bytes, samples: int, number: int) -> bytes:
    """Return a shard of samples with three fields."""
    return _make_tar(samples, partial(_fields, noise), number)


def _make_tar(
    samples: int, fields: Callable[[int], Iterable[tuple[str, bytes]]], number: int
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for sample in range(samples):
            for extension, data in fields(number * samples + sample):
                member = tarfile.TarInfo(f"{number:03d}{sample:05d}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _fields(noise: bytes, number: int) -> Iterator[tuple[str, bytes]]:
    yield "jpg", _cut(noise, number, IMAGE_BYTES)
    yield "cls", b"%04d" % (number % 1000)
    yield "json", b'{"width": 256}'


def _photo(photos: Sequence[bytes], number: int) -> Iterator[tuple[str, bytes]]:
    yield "jpg", photos[number % len(photos)]
    yield "cls", b"%d" % (number % 10)


def _picture(number: int, side: int = PIXELS[0]) -> bytes:
    """Return a square JPEG file: gradients under some noise, as in photographs.

    Raises:
        ImportError: Pillow is missing.
    """
    from PIL import Image

    size = (side, side)
    noise = Image.effect_noise(size, 40)
    gradient = Image.linear_gradient("L").resize(size).rotate(number * 360 // 64)
    bands = (gradient, Image.blend(gradient, noise, 0.3), Image.radial_gradient("L"))
    picture = Image.merge("RGB", [band.resize(size) for band in bands])
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _model_file(noise: bytes, size: int) -> bytes:
    """Return a safetensors file of one tensor, whose header is filled up to 256 bytes."""
    data_bytes = size - 256
    entry = {"w": {"dtype": "U8", "shape": [data_bytes], "data_offsets": [0, data_bytes]}}
    header = json.dumps(entry).encode().ljust(248)
    data = (noise * (data_bytes // len(noise) + 1))[:data_bytes]
    return len(header).to_bytes(8, "little") + header + data


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
    return replace(corpus, endpoint="", bucket="", folder="")
