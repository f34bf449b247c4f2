"""safetensors files as the library has them, on AIStore, S3, OSS, the web and in local folders."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisio import Checkpoint, Client, ConfigError, NotFoundError
from aisio.checkpoint.safetensors import load_file, load_model, load_sharded, safe_open, save_file
from aisio.checkpoint.safetensors.tensors import DTYPES
from aisio.stores import DirectSettings
from tests.checkpoint.safetensors.stored import same
from tests.moto_server import boto_client, s3_server
from tests.oss_server import KEY_ID, REGION, SECRET, OssServer, oss_server

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway

library = pytest.importorskip("safetensors.torch")
rust = pytest.importorskip("safetensors")

KEYS = {"access_key_id": "key", "secret_access_key": "the-secret"}
_numbers = count()


class Place(NamedTuple):
    """Where a file is, and how it is reached."""

    url: str
    options: dict[str, Any]

    def put(self, data: bytes) -> None:
        """Store the file."""
        with Checkpoint(**self.options).writer(self.url) as file:
            file.write(data)

    def get(self) -> bytes:
        """Return the file."""
        with Checkpoint(**self.options).reader(self.url) as file:
            return file.read()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Return the endpoint of an S3 server with a bucket."""
    with s3_server() as endpoint:
        boto_client(endpoint).create_bucket(Bucket="bucket")
        yield endpoint


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway with a bucket."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        Client(gateway.endpoint).bucket("bucket").create()
        yield gateway.endpoint


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    """Return an OSS server with a bucket."""
    pytest.importorskip("alibabacloud_oss_v2")
    with oss_server() as server:
        server.create("bucket")
        yield server


@pytest.fixture(params=["ais", "s3", "oss", "file", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place for a file on each kind of store."""
    name = f"{next(_numbers)}.safetensors"
    if request.param == "file":
        return Place(f"file://{tmp_path}/{name}", {})
    if request.param in ("ais", "http"):
        endpoint = request.getfixturevalue("gateway")
        return Place(f"ais://bucket/{name}", {"endpoint": endpoint})
    if request.param == "oss":
        keys = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
        direct = DirectSettings(request.getfixturevalue("oss").endpoint, REGION, keys)
        return Place(f"oss://bucket/{name}", {"direct": direct})
    endpoint = request.getfixturevalue("moto")
    direct = DirectSettings(endpoint, region="us-east-1", options=KEYS)
    return Place(f"s3://bucket/{name}", {"direct": direct})


def read_url(place: Place, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Return the URL that a file is read by, and how it is reached."""
    if "http" not in request.node.name:
        return place.url, place.options
    path = place.url.removeprefix("ais://")
    return f"{place.options['endpoint']}/v1/objects/{path}", {}


def all_dtypes() -> dict[str, torch.Tensor]:
    """Return a tensor of each dtype, a scalar, an empty one, and one that is read in parts."""
    tensors = {
        f"{name} é": torch.randint(0, 2, (3, 4, dtype.itemsize), dtype=torch.uint8).view(dtype)
        for name, dtype in DTYPES.items()
    }
    return tensors | {
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(3, 0, dtype=torch.int16),
        "large": torch.randn(1000, 1000),
    }


def is_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    """Tell whether two files hold the same tensors."""
    return found.keys() == expected.keys() and all(
        same(found[name], expected[name]) for name in expected
    )


def test_oss_29_files_are_those_of_the_library(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Ours byte for byte, its read by us; every dtype that torch has."""
    tensors, file = all_dtypes(), tmp_path / "oracle"
    library.save_file(tensors, file, {"format": "pt"})
    save_file(tensors, place.url, {"format": "pt"}, **place.options)
    assert place.get() == file.read_bytes()
    url, options = read_url(place, request)
    assert is_equal(load_file(url, **options), tensors)
    assert [*load_file(url, **options)] == [*library.load_file(file)]
    with safe_open(url, **options) as ours, rust.safe_open(file, "pt") as theirs:
        assert (ours.keys(), ours.offset_keys()) == (theirs.keys(), theirs.offset_keys())
        assert ours.metadata() == theirs.metadata()
        for name in ours.keys():  # noqa: SIM118 - it is no dict
            assert same(ours.get_tensor(name), theirs.get_tensor(name))
        part = (slice(10, 900, 7), slice(3, -3))
        assert same(ours.get_slice("large")[part], theirs.get_slice("large")[part])
        assert ours.get_slice("large").get_shape() == theirs.get_slice("large").get_shape()


NAMES = st.text(max_size=5).filter(lambda name: name != "__metadata__")
TENSORS = st.dictionaries(
    NAMES,
    st.tuples(st.sampled_from([*DTYPES]), st.lists(st.integers(0, 3), min_size=1, max_size=3)),
    max_size=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TENSORS, st.none() | st.dictionaries(st.text(), st.text(), min_size=1, max_size=1))
def test_oss_29_any_tensors_are_saved_as_the_library_saves_them(
    tmp_path: Path, drawn: dict[str, tuple[str, list[int]]], metadata: dict[str, str] | None
) -> None:
    """The library's order of several texts is that of a hash table: one is compared."""
    tensors = {
        name: torch.zeros(*shape, DTYPES[dtype].itemsize, dtype=torch.uint8).view(DTYPES[dtype])
        for name, (dtype, shape) in drawn.items()
    }
    save_file(tensors, f"file://{tmp_path}/a", metadata)
    assert (tmp_path / "a").read_bytes() == library.save(tensors, metadata)


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": torch.zeros(2, 3).t()},
        {"a": torch.zeros(2).to_sparse()},
        {"a": 1},
        {"a": torch.zeros(2), "b": torch.zeros(2)},
    ],
    ids=["not contiguous", "sparse", "no tensor", "metadata"],
)
def test_oss_29_what_the_library_refuses_is_refused(tmp_path: Path, tensors: Any) -> None:
    """In words; and the file that was there stays."""
    file = tmp_path / "a"
    file.write_bytes(b"old")
    metadata: Any = {"step": 1} if "b" in tensors else None
    with pytest.raises((TypeError, ValueError)):
        library.save(tensors, metadata)
    with pytest.raises(ConfigError):
        save_file(tensors, f"file://{file}", metadata)
    assert file.read_bytes() == b"old"


def test_oss_29_a_model_with_tied_weights(tmp_path: Path) -> None:
    """As the library's save_model leaves it: one of the names is in the file."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].weight = model[0].weight
    library.save_model(model, str(tmp_path / "a"))
    other = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    other[1].weight = other[0].weight
    ours = load_model(other, f"file://{tmp_path}/a")
    assert (set(ours[0]), ours[1]) == library.load_model(model, str(tmp_path / "a"))
    assert is_equal(other.state_dict(), model.state_dict())


def test_oss_29_a_folder_is_a_model(place: Place) -> None:
    """With `model.safetensors` or with an index; one that has neither is told."""
    folder = f"{place.url}-folder/"
    with pytest.raises(NotFoundError, match="neither"):
        load_sharded(folder, **place.options)
    save_file({"a": torch.ones(2)}, f"{folder}model.safetensors", **place.options)
    assert load_sharded(folder, **place.options)["a"].tolist() == [1, 1]
    save_file({"b": torch.ones(3)}, f"{folder}other.safetensors", **place.options)
    index = place._replace(url=f"{folder}model.safetensors.index.json")
    index.put(b'{"weight_map": {"b": "other.safetensors"}}')
    assert [*load_sharded(folder, **place.options)] == ["b"]


def test_oss_29_a_file_of_several_requests(place: Place, request: pytest.FixtureRequest) -> None:
    """Of tensors that are not aligned, as other writers may leave them."""
    header = (
        b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},'
        b'"b":{"dtype":"F32","shape":[2000000],"data_offsets":[3,8000003]}}'
    )
    numbers = torch.randn(2_000_000)
    data = struct.pack("<Q", len(header)) + header + b"abc" + numbers.numpy().tobytes()
    place.put(data)
    url, options = read_url(place, request)
    found = load_file(url, concurrency=3, **options)
    assert bytes(found["a"].tolist()) == b"abc"
    assert same(found["b"], numbers)
    assert found["b"].data_ptr() % 4 == 0
