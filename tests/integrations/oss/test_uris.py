"""URIs of the OSS connector."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError, UrlError
from aisio.integrations.oss.uris import connector_key, object_url, prefix_url
from aisio.records import ObjectInfo


def test_oss_01_both_spellings_are_one_object() -> None:
    """Names are literal."""
    for uri in ("oss://bucket/a b%20/ü?.jpg", "/bucket/a b%20/ü?.jpg"):
        assert object_url("X", "oss_uri", uri, is_local=False) == "oss://bucket/a b%20/ü?.jpg"
        assert object_url("X", "oss_uri", uri, is_local=True) == "file:///bucket/a b%20/ü?.jpg"


@pytest.mark.parametrize(
    ("uri", "kind", "text"),
    [
        ("", ConfigError, "tar_uri must be non-empty"),
        (None, ConfigError, "tar_uri must be non-empty"),
        ("s3://bucket/key", UrlError, "only oss:// uri are supported for tar_uri"),
        ("bucket/key", UrlError, "only oss:// uri are supported for tar_uri"),
        ("oss:/bucket/key", UrlError, "only oss:// uri are supported for tar_uri"),
        (b"oss://b/k", UrlError, "only oss:// uri are supported for tar_uri"),
        ("oss://", UrlError, "Bucket name must be non-empty"),
        ("/", UrlError, "Bucket name must be non-empty"),
        ("oss:///key", UrlError, "Bucket name must be non-empty"),
        ("//key", UrlError, "Bucket name must be non-empty"),
        ("/bucket/../key", UrlError, "'..'"),
    ],
)
def test_oss_01_what_cannot_be_meant_is_refused(uri: str, kind: type, text: str) -> None:
    """In the connector's words, with the names of class and argument; a ValueError."""
    with pytest.raises(kind) as caught:
        object_url("X", "tar_uri", uri, is_local=False)
    assert text in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_oss_42_a_local_folder_is_a_prefix(tmp_path: Path) -> None:
    """With or without its final "/", as text or path; anything else is a prefix as it stands."""
    expected = f"file://{tmp_path}/"
    for uri in (f"{tmp_path}", f"{tmp_path}/", tmp_path, f"oss:/{tmp_path}"):
        assert prefix_url("X", "oss_uri", uri, is_local=True) == expected
    assert prefix_url("X", "oss_uri", "/no/such", is_local=True) == "file:///no/such"
    assert prefix_url("X", "oss_uri", f"{tmp_path}", is_local=False) == f"oss:/{tmp_path}"


@pytest.mark.parametrize(
    ("root", "name", "key"),
    [
        ("oss://bucket", "a/b.jpg", "/bucket/a/b.jpg"),
        ("file://", "data/b.jpg", "/data/b.jpg"),
        ("oss://bucket/x.tar", "a/b.jpg", "a/b.jpg"),
        ("file:///data/x.tar", "a/b.jpg", "a/b.jpg"),
    ],
)
def test_keys_are_the_connectors(root: str, name: str, key: str) -> None:
    """With the bucket, but in a tar."""
    assert connector_key(ObjectInfo(root, name)) == key
