"""torch's distributed checkpoints as Alibaba's connector has them: on AIStore, S3, OSS, locally."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner

from aisio import Client
from aisio.checkpoint import FileSystem, StorageReader, StorageWriter, latest, remove_old
from aisio.errors import NotFoundError
from aisio.stores import DirectSettings
from tests.checkpoint.dcp.states import check, dcp, write
from tests.moto_server import boto_client, s3_server
from tests.oss_server import KEY_ID, REGION, SECRET, OssServer, oss_server
from tests.rank_processes import run_program, run_ranks

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway

KEYS = {"access_key_id": "key", "secret_access_key": "the-secret"}
FSDP = "torch.distributed.fsdp"
STATE_DICT = "torch.distributed.checkpoint.state_dict"
_numbers = count()


class Place(NamedTuple):
    """Where checkpoints are.

    Attributes:
        url: Where they are, with its final "/".
        options: How they are reached.
    """

    url: str
    options: dict[str, Any]


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
    """Return an OSS server."""
    pytest.importorskip("alibabacloud_oss_v2")
    with oss_server() as server:
        yield server


@pytest.fixture(params=["ais", "s3", "oss", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place on each kind of store."""
    bucket = f"bucket-{next(_numbers)}"
    if request.param == "file":
        (tmp_path / "run").mkdir()
        return Place(f"file://{tmp_path}/run/", {})
    if request.param == "ais":
        endpoint = request.getfixturevalue("gateway")
        Client(endpoint).bucket(bucket).create()
        return Place(f"ais://{bucket}/", {"endpoint": endpoint})
    if request.param == "oss":
        server: OssServer = request.getfixturevalue("oss")
        server.create(bucket)
        keys = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
        return Place(f"oss://{bucket}/", {"direct": DirectSettings(server.endpoint, REGION, keys)})
    endpoint = request.getfixturevalue("moto")
    boto_client(endpoint).create_bucket(Bucket=bucket)
    return Place(f"s3://{bucket}/", {"direct": DirectSettings(endpoint, "us-east-1", KEYS)})


def test_oss_30_torch_saves_and_loads(place: Place) -> None:
    """And again to the same URL; the newest is found, and the others are removed."""
    for number in (1, 2, 1):
        write(f"{place.url}step-{number}", number, **place.options)
        check(f"{place.url}step-{number}", number, **place.options)
    write(f"{place.url}step-1", 3, **place.options)
    check(f"{place.url}step-1", 3, **place.options)
    assert latest(place.url, **place.options) == f"{place.url}step-2"
    assert remove_old(place.url, keep=1, **place.options) == [f"{place.url}step-1"]
    check(f"{place.url}step-2", 2, **place.options)


def test_oss_30_rename_exists_and_remove(place: Place) -> None:
    """As torch's file systems have them."""
    files = FileSystem(**place.options)
    name, other = f"{place.url}a", f"{place.url}b"
    with files.create_stream(name, "wb") as file:
        file.write(bytes(range(250)))
    assert (files.exists(name), files.exists(other)) == (True, False)
    files.rename(name, other)
    assert (files.exists(name), files.exists(other)) == (False, True)
    with files.create_stream(other, "rb") as file:
        assert file.read() == bytes(range(250))
    files.rm_file(other)
    assert not files.exists(other)
    with pytest.raises(NotFoundError):
        files.rename(other, name)


def test_oss_30_checkpoint_ids() -> None:
    """It is asked for before it uses one."""
    for one in (StorageWriter, StorageReader, FileSystem):
        assert one.validate_checkpoint_id("ais://bucket/run/1")
        assert one.validate_checkpoint_id(Path("/run/1"))
        assert not one.validate_checkpoint_id("run/1")


def test_oss_30_ranks_come_and_go(gateway: str) -> None:
    """FSDP2 on 1, 2, 3 and 1 ranks, each of which loads what the one before has saved."""
    Client(gateway).bucket("ranks").create()
    found = run_program(__file__, gateway)
    states, failed, killed, left = found
    assert states[0] == states[1] == states[2] == states[3]
    assert failed == ["no such data", "no such data"]
    assert killed
    assert left == states[0]


class Failing(DefaultSavePlanner):
    """Fails, or is killed, in the middle of what one rank writes."""

    kill = False

    def resolve_data(self, write_item: Any) -> Any:
        """Return the data of an item."""
        if torch.distributed.get_rank() == 1:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyError("no such data")
        return super().resolve_data(write_item)


def trained(seed: int) -> tuple[Any, Any]:
    """Return a model that FSDP2 has divided among the ranks, and its optimizer after a step."""
    fsdp, meshes = import_module(FSDP), import_module("torch.distributed.device_mesh")
    mesh = meshes.init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(300, 301), torch.nn.Linear(301, 5))
    for part in (*model, model):
        fsdp.fully_shard(part, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(2, 300)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def content(model: Any, optimizer: Any, step: int) -> dict[str, Any]:
    """Return the state of both, as torch saves them."""
    models, optimizers = import_module(STATE_DICT).get_state_dict(model, optimizer)
    return {"model": models, "optimizer": optimizers, "step": step}


def sums(state: Any) -> list[float]:
    """Return a number for each tensor of a state, which tells it from others."""
    if isinstance(state, dict):
        return [number for _, value in sorted(state.items()) for number in sums(value)]
    if isinstance(state, torch.Tensor):
        whole: Any = state.full_tensor() if hasattr(state, "full_tensor") else state
        weights = torch.arange(1, whole.numel() + 1, dtype=torch.float64) % 17
        return [(whole.detach().flatten().double() * weights).sum().item()]
    return []


def rank_job(endpoint: str, load: str, save: str, planner: Any, _rank: int) -> list[float]:
    """Load a checkpoint, if one is named, and save it under another name."""
    torch.distributed.init_process_group("gloo")
    state = content(*trained(seed=3 if not load else 4), step=7 if not load else 0)
    if load:
        dcp.load(state, storage_reader=StorageReader(load, endpoint=endpoint))
        assert state["step"] == 7
    if save:
        writer = StorageWriter(save, endpoint=endpoint)
        dcp.save(state, storage_writer=writer, planner=planner)
    found = sums(state)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return found


def failing_job(endpoint: str, save: str, _rank: int) -> str:
    """Save a checkpoint in the middle of which the second rank fails."""
    try:
        rank_job(endpoint, "", save, Failing(), _rank)
    except BaseException as error:
        return "no such data" if "no such data" in str(error) else repr(error)
    return "saved"


def main(endpoint: str) -> None:
    """Run the jobs and print what they have found."""
    warnings.simplefilter("ignore")
    for module in ("torch._dynamo", FSDP, STATE_DICT):  # once, and not in each rank
        import_module(module)
    run, states, url = "ais://ranks/run", [], ""
    for number, ranks in enumerate((1, 2, 3, 1)):
        save = f"{run}/{number}"
        results = run_ranks(partial(rank_job, endpoint, url, save, None), ranks)
        assert all(result == results[0] for result in results)
        states.append(results[0])
        url = save
    failed = run_ranks(partial(failing_job, endpoint, url), 2)
    killing = Failing()
    killing.kill = True
    try:
        run_ranks(partial(rank_job, endpoint, "", url, killing), 2)
        killed = False
    except (EOFError, AssertionError):
        killed = True
    left = run_ranks(partial(rank_job, endpoint, url, "", None), 2)[0]
    print(json.dumps((states, failed, killed, left)))


if __name__ == "__main__":
    main(sys.argv[1])
