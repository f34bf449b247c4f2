"""The endpoint that a catalog names: which store it is of, and which credentials it gets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aisio.client.client import Client
from aisio.records import RetryPolicy
from aisio.stores import AisStore, DirectSettings, DirectStore, OssStore
from aisio.stores.endpoint import store_at
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

HERE = "http://127.0.0.1:9"


THERE = "http://127.0.0.1:10"


def test_the_scheme_decides_whose_endpoint_it_is(monkeypatch):
    """That of a cluster, or of an S3-compatible store; explicit settings come first."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    for text in ("ais://b/a", "aws://b/a", "gcp://b/a"):
        store = store_at(ObjectUrl.parse(text), endpoint=THERE)
        assert isinstance(store, AisStore)
        assert store.client.endpoint == THERE
    s3 = ObjectUrl.parse("s3://b/a")
    direct = store_at(s3, endpoint=THERE)
    assert isinstance(direct, DirectStore)
    assert direct.settings.endpoint == THERE
    region = store_at(s3, endpoint=THERE, direct=DirectSettings(region="r"))
    assert isinstance(region, DirectStore)
    assert (region.settings.endpoint, region.settings.region) == (THERE, "r")
    own = store_at(s3, endpoint=THERE, direct=DirectSettings(HERE))
    assert isinstance(own, DirectStore)
    assert own.settings.endpoint == HERE
    assert isinstance(store_at(s3, endpoint=THERE, client=Client(HERE)), AisStore)
    around = store_at(ObjectUrl.parse("aws://b/a"), endpoint=THERE, direct=True)
    assert isinstance(around, DirectStore)
    assert around.settings.endpoint is None


def test_an_endpoint_of_oss_is_for_its_urls():
    """Also where there is a client of a cluster; explicit settings come first."""
    url = ObjectUrl.parse("oss://b/a")
    for client in (None, Client(HERE)):
        store = store_at(url, endpoint=THERE, client=client)
        assert isinstance(store, OssStore)
        assert store.settings.endpoint == THERE
    own = store_at(url, endpoint=THERE, direct=DirectSettings(HERE, "r"))
    assert isinstance(own, OssStore)
    assert (own.settings.endpoint, own.settings.region) == (HERE, "r")


FOUND = Reply(headers={"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT", "ETag": '"v"'})


@pytest.fixture
def logins(monkeypatch, tmp_path):
    """Log in to Google and Azure, as far as their libraries look."""
    pytest.importorskip("obstore")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )
    account = {"client_email": "a@b", "private_key": key.decode(), "private_key_id": "k"}
    file = tmp_path / "key.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(file))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "secret")


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_tokens_of_clouds_are_not_sent_to_the_endpoint_of_a_catalog(logins, scheme):
    """Whoever receives a token could use it. If the program names the endpoint, it is sent."""
    url = ObjectUrl.parse(f"{scheme}://bkt/a")
    with Server(FOUND, FOUND, FOUND) as server:
        once = DirectSettings(retry=RetryPolicy(attempts=1))
        store_at(url, endpoint=server.url).head(url)
        store_at(url, endpoint=server.url, direct=once).head(url)
        store_at(url, endpoint=THERE, direct=replace(once, endpoint=server.url)).head(url)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent[:2] == [None, None]
    assert sent[2].startswith("Bearer")
    assert "?" not in server.requests[0].target
