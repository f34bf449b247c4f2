"""DirectStore: the contract on Google Cloud Storage; moto's S3 stands in for its XML interface."""

from __future__ import annotations

import json
from itertools import count
from urllib.parse import quote

import pytest
import requests

from aisio.records import RetryPolicy
from aisio.stores import DirectSettings, DirectStore
from aisio.testing.store_contract import StoreContract
from aisio.urls import ObjectUrl
from tests.moto_server import s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto")

KEY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
_numbers = count()


@pytest.fixture(scope="module")
def google():
    """Return the endpoint of a server that takes Google's requests, whatever their token."""
    with s3_server(sign=True) as endpoint:
        yield endpoint


class TestGoogle(StoreContract):
    """The contract, over Google's protocol as far as it is S3's."""

    @pytest.fixture
    def store(self, google):
        return DirectStore(
            DirectSettings(google, options={"service_account_key": json.dumps(KEY)}, retry=FAST)
        )

    @pytest.fixture
    def root(self, google):
        # obstore sends a "-" as %2D, which moto leaves as it is.
        self.endpoint, name = google, f"bucket{next(_numbers)}"
        requests.put(f"{google}/{name}", timeout=10).raise_for_status()
        return ObjectUrl.parse(f"gs://{name}")

    def put_raw(self, url, data):
        requests.put(self._address(url), data=data, timeout=10).raise_for_status()

    def get_raw(self, url):
        reply = requests.get(self._address(url), timeout=10)
        reply.raise_for_status()
        return reply.content

    def _address(self, url):
        return f"{self.endpoint}/{url.bucket}/{quote(url.name)}"
