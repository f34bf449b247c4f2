"""AisStore: the store contract, on the embedded gateway."""

from __future__ import annotations

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import requests

from aisio.client.client import Client
from aisio.gateway import Gateway
from aisio.stores import AisStore
from aisio.testing.store_contract import StoreContract
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Return the endpoint of a gateway."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


class TestAisStore(StoreContract):
    """The contract, on a bucket of a gateway, which plain requests look into."""

    @pytest.fixture
    def store(self, endpoint):
        return AisStore(Client(endpoint))

    @pytest.fixture
    def root(self, endpoint):
        self.endpoint = endpoint
        bucket = Client(endpoint).bucket("contract").create()
        yield ObjectUrl.parse("ais://contract/")
        bucket.delete()

    def put_raw(self, url, data):
        assert requests.put(object_http_url(self.endpoint, url), data=data, timeout=5).ok

    def get_raw(self, url):
        return requests.get(object_http_url(self.endpoint, url), timeout=5).content
