"""store_for: which store a URL and the environment mean."""

from __future__ import annotations

import pytest

from aisio.client.client import Client
from aisio.errors import ConfigError, UrlError
from aisio.stores import AisStore, DirectSettings, DirectStore, LocalStore, OssStore, store_for
from aisio.urls import ObjectUrl

OBJECT = ObjectUrl.parse("s3://bkt/a")


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch):
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)


def test_without_a_cluster_clouds_are_reached_directly():
    """Only ais://, oci:// and namespaces need one."""
    for text in ("s3://bkt/a", "gs://bkt/a", "az://bkt/a"):
        assert isinstance(store_for(ObjectUrl.parse(text)), DirectStore)
    for text in ("ais://bkt/a", "oci://bkt/a", "s3://#ns/bkt/a"):
        with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
            store_for(ObjectUrl.parse(text))


def test_with_a_cluster_clouds_go_through_it(monkeypatch):
    """Whether an argument or a variable names it. A wrong endpoint is an error."""
    client = Client("http://127.0.0.1:9")
    assert isinstance(store_for(OBJECT, client), AisStore)
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    assert isinstance(store_for(OBJECT), AisStore)
    monkeypatch.setenv("AIS_ENDPOINT", "nonsense")
    with pytest.raises(ConfigError, match="nonsense"):
        store_for(OBJECT)


def test_direct_bypasses_the_cluster():
    """With a flag, or with settings; a URL that only a cluster can have is refused."""
    client, settings = Client("http://127.0.0.1:9"), DirectSettings("http://127.0.0.1:8")
    assert isinstance(store_for(OBJECT, client, direct=True), DirectStore)
    found = store_for(OBJECT, client, direct=settings)
    assert isinstance(found, DirectStore)
    assert found.settings == settings
    with pytest.raises(ConfigError, match="in a cluster"):
        store_for(ObjectUrl.parse("ais://bkt/a"), client, direct=True)


def test_oss_is_reached_without_a_cluster(monkeypatch):
    """Whether there is one or not; with the same settings it is the same store."""
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    url, settings = ObjectUrl.parse("oss://bkt/a"), DirectSettings("http://127.0.0.1:8")
    monkeypatch.delenv("OSS_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match="in no cluster, so client= or endpoint= is not for it"):
        store_for(url, Client("http://127.0.0.1:9"))
    monkeypatch.setenv("OSS_ENDPOINT", "http://127.0.0.1:8")
    usual = store_for(url, Client("http://127.0.0.1:9"))
    assert isinstance(usual, OssStore)
    assert store_for(url) is usual
    found = store_for(url, direct=settings)
    assert isinstance(found, OssStore)
    assert found.settings == settings
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "other")
    assert store_for(url) is not usual


def test_the_same_settings_are_one_store_and_no_others_are(tmp_path, monkeypatch):
    """A store keeps connections and credentials, so other credentials are another store."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    options = {"access_key_id": "a"}
    first = store_for(OBJECT, direct=DirectSettings(options=options))
    assert store_for(OBJECT, direct=DirectSettings(options={"access_key_id": "a"})) is first
    options["access_key_id"] = "b"
    second = store_for(OBJECT, direct=DirectSettings(options=options))
    assert isinstance(first, DirectStore)
    assert isinstance(second, DirectStore)
    assert [dict(one.settings.options) for one in (first, second)] == [
        {"access_key_id": "a"},
        {"access_key_id": "b"},
    ]
    usual = store_for(OBJECT)
    assert store_for(OBJECT) is usual
    (tmp_path / "credentials").write_text("[default]\n")
    logged_in = store_for(OBJECT)
    assert logged_in is not usual
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    assert store_for(OBJECT) not in (usual, logged_in)


def test_some_schemes_have_one_store():
    """Local files, memory and web servers, whatever the arguments are."""
    client = Client("http://127.0.0.1:9")
    assert isinstance(store_for(ObjectUrl.parse("file:///a"), client), LocalStore)
    for text in ("memory://b/a", "https://host:8443/a?b"):
        assert isinstance(store_for(ObjectUrl.parse(text), client), DirectStore)


@pytest.mark.parametrize("direct", ["yes", None, 1, {"region": "a"}])
def test_direct_is_a_bool_or_settings(direct):
    """Anything else would be taken for True, and its settings be lost."""
    for text in ("s3://bkt/a", "file:///a", "memory://b/a"):
        with pytest.raises(ConfigError, match="expected True, False or a DirectSettings"):
            store_for(ObjectUrl.parse(text), direct=direct)


@pytest.mark.parametrize("text", ["https://", "https://user:pw@host/a", "https:///a", "memory://"])
def test_what_cannot_be_reached_is_refused(text):
    """The error does not show a password in the URL."""
    with pytest.raises(UrlError) as caught:
        ObjectUrl.parse(text)
    assert "pw" not in str(caught.value)
