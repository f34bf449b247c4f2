"""Model folders as Alibaba's OSS connector has them: on AIStore, S3 and in local folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch

from aisio import Client, ConfigError
from aisio.gateway import Gateway
from aisio.models import MemoryOptions, ModelConnector, ModelDirectory
from aisio.stores import DirectSettings
from aisio.testing import FaultProxy
from tests.models.models import FILES, files_in
from tests.moto_server import boto_client, s3_server
from tests.oss_server import KEY_ID, REGION, SECRET, OssServer, oss_server

pytest.importorskip("obstore")
pytest.importorskip("moto")

ROOT = Path(__file__).parents[2]
SHARED_MEMORY = Path("/dev/shm")
KEYS = {"access_key_id": "key", "secret_access_key": "the-secret"}
_numbers = count()


class Place(NamedTuple):
    """Where a model is.

    Attributes:
        bucket: URL of its bucket.
        prefix: The folder in the bucket.
        options: How it is reached.
        memory: Where the test puts its large files.
    """

    bucket: str
    prefix: str
    options: dict[str, Any]
    memory: MemoryOptions

    @property
    def url(self) -> str:
        """The URL of the model."""
        return f"{self.bucket}/{self.prefix}"

    def directory(self, path: Path, **arguments: Any) -> ModelDirectory:
        """Return a directory that is not prepared yet."""
        return ModelDirectory(self.url, path, memory=self.memory, **self.options, **arguments)


@pytest.fixture
def memory() -> Iterator[MemoryOptions]:
    """Put large files into a folder in memory, and check that nothing is left there."""
    with TemporaryDirectory(dir=SHARED_MEMORY, prefix="aisio-tests-") as folder:
        yield MemoryOptions(from_bytes=1000, folder=folder)
        assert list(Path(folder).iterdir()) == []


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Return the endpoint of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    """Return an OSS server, which checks signatures."""
    pytest.importorskip("alibabacloud_oss_v2")
    with oss_server() as server:
        yield server


def oss_place(server: OssServer, bucket: str, credentials: Path, memory: MemoryOptions) -> Place:
    """Return a model on OSS, reached with a file of credentials."""
    server.create(bucket)
    for name, data in FILES.items():
        server.put_raw(bucket, f"m/{name}", data)
    credentials.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}))
    direct = DirectSettings(server.endpoint, REGION, credentials=credentials)
    return Place(f"oss://{bucket}", "m/", {"direct": direct}, memory)


@pytest.fixture(params=["ais", "s3", "oss", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: MemoryOptions) -> Place:
    """Return a model on each kind of store."""
    bucket = f"bucket-{next(_numbers)}"
    if request.param == "file":
        for name, data in FILES.items():
            path = tmp_path / "source" / "m" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Place("file://", f"{tmp_path}/source/m/"[1:], {}, memory)
    if request.param == "ais":
        endpoint = request.getfixturevalue("gateway")
        made = Client(endpoint).bucket(bucket).create()
        for name, data in FILES.items():
            made.object(f"m/{name}").put(data)
        return Place(f"ais://{bucket}", "m/", {"endpoint": endpoint}, memory)
    if request.param == "oss":
        return oss_place(request.getfixturevalue("oss"), bucket, tmp_path / "credentials", memory)
    endpoint = request.getfixturevalue("moto")
    boto = boto_client(endpoint)
    boto.create_bucket(Bucket=bucket)
    for name, data in FILES.items():
        boto.put_object(Bucket=bucket, Key=f"m/{name}", Body=data)
    direct = DirectSettings(endpoint, region="us-east-1", options=KEYS)
    return Place(f"s3://{bucket}", "m/", {"direct": direct}, memory)


def test_oss_35_names_and_sizes_are_listed(place: Place) -> None:
    """In the order of the names, however it is asked for."""
    connector = ModelConnector(**place.options)
    bucket = place.bucket if place.bucket != "file://" else "file:///"
    expected = [(place.prefix + name, len(data)) for name, data in sorted(FILES.items())]
    for fast in (False, True):
        found = connector.list(bucket, place.prefix, fast=fast)
        assert [(one.name, one.size_bytes) for one in found] == expected


def test_oss_36_files_open_as_bytes_and_text(place: Place) -> None:
    """Whatever store they are in."""
    connector = ModelConnector(**place.options)
    with connector.open(f"{place.url}sub/b.bin") as file:
        assert file.read() == FILES["sub/b.bin"]
    with connector.open(f"{place.url}config.json", binary=False) as text:
        assert text.read() == "{}"


def test_oss_36_reading_begins_in_the_order_of_the_calls(tmp_path: Path) -> None:
    """Before anything is read from the files."""
    names = ["c", "a", "b"]
    with Gateway(tmp_path) as gateway, FaultProxy(gateway.endpoint) as proxy:
        bucket = Client(gateway.endpoint).bucket("m").create()
        for name in names:
            bucket.object(name).put(name.encode() * 100)
        connector = ModelConnector(endpoint=proxy.endpoint)
        files = []
        for name in names:
            files.append(connector.open(f"ais://m/{name}"))
            while not any(request.path.endswith(f"/{name}") for request in gets(proxy)):
                pass
        asked = [request.path[-1] for request in gets(proxy)]
        assert list(dict.fromkeys(asked)) == names
        for name, file in zip(names, files, strict=True):
            with file:
                assert file.read() == name.encode() * 100
        assert len(gets(proxy)) == len(asked)


def gets(proxy: FaultProxy) -> list[Any]:
    """Return the GETs of objects so far."""
    return [one for one in proxy.requests if one.method == "GET" and "/objects/" in one.path]


@pytest.mark.parametrize("in_background", [False, True])
def test_oss_37_a_folder_shows_the_model(place: Place, tmp_path: Path, in_background: bool) -> None:
    """Small files are real, large ones come from memory; then nothing is left."""
    path = tmp_path / "model"
    with place.directory(path, in_background=in_background) as directory:
        # By name: a listing would have files that are being written in the background.
        assert {name: (path / name).read_bytes() for name in FILES} == FILES
        directory.wait()
        assert files_in(path) == FILES
        large = [one.name for one in path.rglob("*") if one.is_symlink()]
        assert sorted(large) == ["a.safetensors", "b.bin"]
        assert all(
            one.resolve().is_relative_to(SHARED_MEMORY) for one in path.rglob("*.safetensors")
        )
    assert not path.exists()


def test_oss_37_a_folder_of_others_is_refused(place: Place, tmp_path: Path) -> None:
    """Nothing in it is removed."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="not of a model: mine"):
        place.directory(path).prepare()
    assert [one.name for one in path.iterdir()] == ["mine"]


def disk_bytes(path: Path) -> int:
    """Return how many bytes the files of a folder take on its disk, without those of links."""
    return sum(
        one.lstat().st_blocks * 512
        for one in path.rglob("*")
        if one.is_file() and not one.is_symlink()
    )


@pytest.mark.parametrize("in_background", [False, True])
def test_oss_38_safetensors_and_torch_load_from_the_folder(
    tmp_path: Path, memory: MemoryOptions, in_background: bool
) -> None:
    """safe_open, slices, load_file; torch.load, mapped or not. The disk has no copy."""
    safetensors_torch = pytest.importorskip("safetensors.torch")
    state = {"w": torch.arange(300_000, dtype=torch.float32), "v": torch.ones(3, 2)}
    source, path = tmp_path / "source", tmp_path / "model"
    source.mkdir()
    safetensors_torch.save_file(state, source / "a.safetensors")
    torch.save(state, source / "b.pt")
    with ModelDirectory(f"file://{source}", path, memory=memory, in_background=in_background):
        with safetensors_torch.safe_open(path / "a.safetensors", "pt") as file:
            assert torch.equal(file.get_tensor("w"), state["w"])
            assert torch.equal(file.get_slice("w")[5:9], state["w"][5:9])
        loads = [
            safetensors_torch.load_file(path / "a.safetensors"),
            torch.load(path / "b.pt"),
            torch.load(path / "b.pt", mmap=True),
        ]
        assert disk_bytes(path) < 20_000
    for loaded in loads:
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("in_background", [False, True])
def test_oss_38_transformers_loads_from_the_folder(
    tmp_path: Path, memory: MemoryOptions, in_background: bool
) -> None:
    """A model of several files, by its path or by the directory itself."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=128,
    )
    model = transformers.LlamaForCausalLM(config)
    source, path = tmp_path / "source", tmp_path / "model"
    model.save_pretrained(source, max_shard_size="50KB")
    with ModelDirectory(
        f"file://{source}", path, memory=memory, in_background=in_background
    ) as directory:
        assert len(list(path.glob("*.safetensors"))) > 1
        loaded = transformers.AutoModelForCausalLM.from_pretrained(directory)
        assert disk_bytes(path) < 60_000
    expected = model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


CHILD = """
import os, sys
folder = sys.argv[1]
names = [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names]
print({os.path.relpath(name, folder): os.path.getsize(name) for name in names})
sys.exit(3)
"""


def run(folder: Path, options: list[str], **variables: str) -> tuple[int, str]:
    """Run a program beside a model; return its status and output."""
    command = [sys.executable, "-m", "aisio.models", *options]
    command += [sys.executable, "-c", CHILD, str(folder)]
    environment = os.environ | variables
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_oss_41_a_program_finds_the_model_by_variables(place: Place, tmp_path: Path) -> None:
    """Off without ENABLE_CONNECTOR=1; its status is that of the program."""
    if place.bucket.startswith("s3"):
        pytest.skip("the variables of S3 are tested elsewhere")
    direct = place.options.get("direct")
    path = tmp_path / "model"
    variables = {"OSS_PATH": place.url, "MODEL_DIR": str(path)}
    variables |= {"AIS_ENDPOINT": place.options.get("endpoint", "")}
    if direct is not None:
        variables |= {"OSS_ENDPOINT": direct.endpoint, "OSS_REGION": direct.region}
        variables |= {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET}
    assert run(path, [], ENABLE_CONNECTOR="", **variables) == (3, "{}\n")
    status, output = run(path, [], ENABLE_CONNECTOR="1", **variables)
    found = json.loads(output.replace("'", '"'))
    found.pop(".aisio-model.json")
    assert (status, found) == (3, {name: len(data) for name, data in FILES.items()})
    assert not path.exists()
    assert run(path, ["--url", place.url], **variables | {"MODEL_DIR": ""}) == (
        1,
        "both are needed: --url or OSS_PATH, and --dir or MODEL_DIR\n",
    )
