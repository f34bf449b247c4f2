"""OssStore: the contract, over a server that checks OSS's signatures."""

from __future__ import annotations

import pytest

from aisio.records import RetryPolicy
from aisio.stores import DirectSettings
from aisio.testing.store_contract import StoreContract
from tests.oss_server import KEY_ID, REGION, SECRET

pytest.importorskip("alibabacloud_oss_v2")
pytest.importorskip("moto")

from aisio.stores.oss.store import OssStore

KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


class TestOss(StoreContract):
    """The contract."""

    @pytest.fixture
    def store(self, server):
        return OssStore(DirectSettings(server.endpoint, REGION, KEYS, retry=FAST))

    @pytest.fixture
    def root(self, bucket):
        return bucket

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def put_raw(self, url, data):
        self.server.put_raw(url.bucket, url.name, data)

    def get_raw(self, url):
        return self.server.get_raw(url.bucket, url.name)
