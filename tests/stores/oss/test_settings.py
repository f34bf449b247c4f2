"""Where a bucket is: endpoint and region by arguments, environment and host name."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.stores import DirectSettings
from aisio.stores.oss.settings import open_access

HANGZHOU = "https://oss-cn-hangzhou.aliyuncs.com"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("OSS_ENDPOINT", raising=False)
    monkeypatch.delenv("OSS_REGION", raising=False)
    monkeypatch.delenv("AIS_CLIENT_CA", raising=False)


@pytest.mark.parametrize(
    ("endpoint", "region", "url", "expected"),
    [
        (HANGZHOU, None, "https://bkt.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        (f"{HANGZHOU}/", None, "https://bkt.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        (None, "cn-hangzhou", "https://bkt.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        (None, "oss-cn-hangzhou", "https://bkt.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        (
            "http://oss-cn-wulanchabu-internal.aliyuncs.com",
            None,
            "http://bkt.oss-cn-wulanchabu-internal.aliyuncs.com",
            "cn-wulanchabu",
        ),
        (
            "oss-ap-southeast-1.aliyuncs.com",
            None,
            "https://bkt.oss-ap-southeast-1.aliyuncs.com",
            "ap-southeast-1",
        ),
        (
            "oss-accelerate.aliyuncs.com",
            "us-east-1",
            "https://bkt.oss-accelerate.aliyuncs.com",
            "us-east-1",
        ),
        ("http://127.0.0.1:9000", "cn-x", "http://127.0.0.1:9000/bkt", "cn-x"),
        ("http://[::1]:9000", "cn-x", "http://[::1]:9000/bkt", "cn-x"),
        ("http://localhost:9000", "cn-x", "http://localhost:9000/bkt", "cn-x"),
        ("https://store.example.com", "cn-x", "https://bkt.store.example.com", "cn-x"),
    ],
)
def test_a_bucket_has_a_url_and_a_region(endpoint, region, url, expected):
    """Either of the two settings tells the other, where it can."""
    access = open_access(DirectSettings(endpoint, region), "bkt")
    assert (access.settings.endpoint, access.region) == (url, expected)


def test_the_environment_counts_where_no_argument_does(monkeypatch):
    """Errors name where the endpoint is from."""
    monkeypatch.setenv("OSS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OSS_REGION", "cn-a")
    access = open_access(DirectSettings(), "bkt")
    assert (access.settings.endpoint, access.region) == ("http://127.0.0.1:1/bkt", "cn-a")
    assert access.settings.endpoint_from == "OSS_ENDPOINT"
    access = open_access(DirectSettings(HANGZHOU, "cn-b"), "bkt")
    assert (access.settings.endpoint_from, access.region) == ("DirectSettings.endpoint", "cn-b")


def test_options_say_how_a_bucket_is_addressed_and_that_nobody_signs():
    """A public bucket needs no region."""
    options = {"virtual_hosted_style_request": False, "skip_signature": True}
    access = open_access(DirectSettings("https://store.example.com", options=options), "bkt")
    assert access.settings.endpoint == "https://store.example.com/bkt"
    assert access.credentials is None


def test_the_authorities_are_those_of_other_stores(monkeypatch):
    """An argument comes before the variable."""
    monkeypatch.setenv("AIS_CLIENT_CA", "/ca.pem")
    assert open_access(DirectSettings(HANGZHOU), "bkt").settings.tls.ca_file == "/ca.pem"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            DirectSettings(),
            "no endpoint for oss://: set OSS_ENDPOINT, as to https://oss-cn-hangzhou",
        ),
        (DirectSettings("http://127.0.0.1:1"), "does not say of which region"),
        (DirectSettings("oss-accelerate.aliyuncs.com"), "does not say of which region"),
        (DirectSettings("ftp://a"), "DirectSettings.endpoint='ftp://a' does not begin"),
        (DirectSettings(f"{HANGZHOU}/bkt"), "holds a path"),
        (DirectSettings("https://id:secret@a.com"), "holds a user name or password"),
        (DirectSettings(HANGZHOU, "Hang zhou"), "region='Hang zhou' is no region"),
        (DirectSettings(HANGZHOU, options={"acess_key_id": "a"}), "has no 'acess_key_id'"),
    ],
)
def test_wrong_settings_are_named(settings, problem):
    """Before any request."""
    with pytest.raises(ConfigError, match=problem):
        open_access(settings, "bkt")
