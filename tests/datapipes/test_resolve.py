"""resolve_url: the store, the object, the ETL and the tar of a URL, without a request."""

from __future__ import annotations

import pytest

from aisio.client.client import Client
from aisio.datapipes.resolve import resolve_url
from aisio.errors import ConfigError, UrlError
from aisio.stores import AisStore, LocalStore

HTTP = "http://127.0.0.1:9/v1/objects/b/a?provider=ais"


@pytest.fixture
def client() -> Client:
    """Return the client of a cluster that is never called."""
    return Client("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("text", "etl_name", "url", "resolved_etl", "archive"),
    [
        ("ais://b/a", None, "ais://b/a", None, None),
        ("ais://b/a", "md5", "ais://b/a", "md5", None),
        (HTTP, None, "ais://b/a", None, None),
        (f"{HTTP}&etl_name=sha", None, "ais://b/a", "sha", None),
        (f"{HTTP}&etl_name=sha", "md5", "ais://b/a", "md5", None),
        ("ais://b/x.tar/y/1.jpg", None, "ais://b/x.tar/y/1.jpg", None, "ais://b/x.tar"),
        ("ais://b/x.tar/y.tar/1", None, "ais://b/x.tar/y.tar/1", None, "ais://b/x.tar"),
        ("ais://b/x.tar", None, "ais://b/x.tar", None, None),
        (HTTP.replace("/a?", "/x.tar/1?"), None, "ais://b/x.tar/1", None, None),
    ],
)
def test_a_url_gives_all_that_opens_it(client, text, etl_name, url, resolved_etl, archive):
    """The argument beats the ETL of an http URL; an http URL names an object, not a file in one."""
    resolved = resolve_url(text, client=client, etl_name=etl_name)
    assert (resolved.text, str(resolved.url), resolved.etl_name) == (text, url, resolved_etl)
    assert (resolved.archive and str(resolved.archive)) == archive
    assert isinstance(resolved.store, AisStore)
    assert resolved.store.client is client


def test_an_http_url_is_read_from_the_cluster_that_it_names(client):
    """Not from the cluster of the loader's client."""
    store = resolve_url(HTTP.replace(":9", ":10"), client=client).store
    assert isinstance(store, AisStore)
    assert store.client.endpoint == "http://127.0.0.1:10"


def test_a_local_file_needs_no_cluster(monkeypatch, tmp_path):
    """A URL of a bucket does, and the error says how to name one."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    assert isinstance(resolve_url(f"file://{tmp_path}/a").store, LocalStore)
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        resolve_url("ais://b/a")


@pytest.mark.parametrize("text", ["", "ais://b", "ais://b/", "http://127.0.0.1:9/v1/objects/b"])
def test_what_is_no_object_is_refused(client, text):
    """A bucket or a folder cannot be opened."""
    with pytest.raises(UrlError):
        resolve_url(text, client=client)
