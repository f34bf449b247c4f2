"""Clients, buckets and groups of the official package, converted to aisio's own."""

from __future__ import annotations

import pytest
from aistore.sdk import Client as OfficialClient
from aistore.sdk.multiobj import ObjectRange
from aistore.sdk.namespace import Namespace as OfficialNamespace

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, ObjectGroup
from aisio.records import Timeouts, TlsFiles


@pytest.fixture
def official():
    """Return an official client that sends nothing."""
    return OfficialClient("http://127.0.0.1:9", token="secret", timeout=(2, 7))


def test_a_bucket_keeps_its_address_and_credentials(official):
    """Endpoint, token, timeouts, provider and namespace are theirs."""
    theirs = official.bucket(
        "data", provider="aws", namespace=OfficialNamespace(uuid="u1", name="ns")
    )
    ours = adapt_sdk_object(theirs)
    assert isinstance(ours, Bucket)
    assert str(ours.url) == "aws://@u1#ns/data"
    settings = ours.client.settings
    assert (settings.endpoint, settings.token) == ("http://127.0.0.1:9", "secret")
    assert settings.timeouts == Timeouts(2, 7)


def test_certificates_are_theirs(tmp_path):
    """Certificates given to the official client are used, not only the environment's."""
    client = OfficialClient(
        "https://127.0.0.1:9", ca_cert="ca.pem", client_cert=("crt.pem", "key.pem")
    )
    tls = adapt_sdk_object(client.bucket("b")).client.settings.tls
    assert tls == TlsFiles(ca_file="ca.pem", client_cert_file="crt.pem", client_key_file="key.pem")


@pytest.mark.parametrize(
    "group",
    [
        {"obj_names": ["s-1.tar", "s-2.tar"]},
        {"obj_range": ObjectRange("s-", 1, 2, suffix=".tar")},
        {"obj_template": "s-{1..2}.tar"},
    ],
)
def test_groups_become_their_names(official, group):
    """Names, range and template are expanded without a request."""
    ours = adapt_sdk_object(official.bucket("b").objects(**group))
    assert isinstance(ours, ObjectGroup)
    assert list(ours.names()) == ["s-1.tar", "s-2.tar"]


@pytest.mark.parametrize("value", ["ais://b", 3, None, ["ais://b/a"]])
def test_other_values_pass(value):
    """Values that are not of the official package are returned as they are."""
    assert adapt_sdk_object(value) is value
