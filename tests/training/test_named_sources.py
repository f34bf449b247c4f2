"""The ETL of a catalog's entry in the datasets."""

from __future__ import annotations

import pytest
import torch  # noqa: F401 - this file is for environments that have it

from aisio.catalog import NamedSource
from aisio.client.client import Client
from aisio.records import RetryPolicy
from aisio.sources.resolve import source
from aisio.training.batch_dataset import AISBatchIterDataset
from aisio.training.object_datasets import AISMapDataset
from aisio.training.object_iter_dataset import AISIterDataset
from tests.http_server import Reply, Server


@pytest.mark.parametrize("dataset", [AISMapDataset, AISIterDataset, AISBatchIterDataset])
def test_objects_are_read_transformed(dataset):
    """One by one also where many would come at once: get-batch transforms nothing."""
    with Server(Reply(body=b"transformed")) as server:
        client = Client(server.url, direct=False, retry=RetryPolicy(attempts=1))
        entry = NamedSource(tag="team/x", urls=("ais://b/a",), etl_name="md5")
        data = dataset([source(entry, client=client)])
        assert list(iter(data)) == [("a", b"transformed")]
        assert [asked.target for asked in server.requests] == [
            "/v1/objects/b/a?provider=ais&etl_name=md5"
        ]
