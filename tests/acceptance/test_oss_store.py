"""oss:// URLs in what people use: datasets, checkpoints, webdataset; with OSS's own signatures."""

from __future__ import annotations

import io
import json

import pytest
import torch
from torch.utils.data import DataLoader

from aisio import AISMapDataset, Checkpoint
from aisio.stores import DirectSettings, store_for
from aisio.urls import ObjectUrl
from tests.oss_server import KEY_ID, REGION, SECRET, TOKEN, TOKEN_KEY_ID, oss_server

pytest.importorskip("alibabacloud_oss_v2")
pytest.importorskip("moto")

NAMES = [f"train/{number}.bin" for number in range(6)]


@pytest.fixture(scope="module")
def server():
    """Return a server with objects."""
    with oss_server() as server:
        server.create("bkt")
        for name in NAMES:
            server.put_raw("bkt", name, name.encode())
        yield server


@pytest.fixture
def by_environment(server, monkeypatch):
    """Set the vendor's variables, with a temporary key."""
    variables = {
        "OSS_ENDPOINT": server.endpoint,
        "OSS_REGION": REGION,
        "OSS_ACCESS_KEY_ID": TOKEN_KEY_ID,
        "OSS_ACCESS_KEY_SECRET": SECRET,
        "OSS_SESSION_TOKEN": TOKEN,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)


def first(batch):
    """Return a batch as it is."""
    return batch


@pytest.mark.parametrize("workers", [0, 2])
def test_oss_31_a_dataset_reads_with_a_file_of_credentials(server, tmp_path, workers):
    """In workers too, which read the file themselves."""
    file = tmp_path / "credentials"
    file.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}))
    settings = DirectSettings(server.endpoint, REGION, credentials=file)
    dataset = AISMapDataset.from_prefix("oss://bkt/train/", direct=settings)
    loader = DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=first)
    assert [item for batch in loader for item in batch] == [(name, name.encode()) for name in NAMES]


def test_oss_32_the_token_is_sent_with_each_request(by_environment):
    """The server refuses requests without it: a checkpoint is written and read."""
    state = {"weight": torch.arange(5)}
    checkpoint = Checkpoint()
    with checkpoint.writer("oss://bkt/step-1.pt") as file:
        torch.save(state, file)
    with checkpoint.reader("oss://bkt/step-1.pt") as file:
        loaded = torch.load(io.BytesIO(file.read()), weights_only=True)
    assert torch.equal(loaded["weight"], state["weight"])
    store_for(url := ObjectUrl.parse("oss://bkt/step-1.pt")).delete(url)


def test_webdataset_opens_oss(by_environment):
    """By the handler of all schemes of aisio."""
    gopen = pytest.importorskip("webdataset").gopen
    pytest.importorskip("aisio.integrations.webdataset")
    with gopen(f"oss://bkt/{NAMES[0]}") as stream:
        assert stream.read() == NAMES[0].encode()
