"""Checks of settings: what is wrong is named, and secrets are not shown."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.stores.direct.scripted_s3 import CA_NAMES, OBJECT, write_aws_files

pytest.importorskip("obstore")

pytestmark = pytest.mark.usefixtures("own_aws_files")


BAD_ENDPOINTS = [
    "minio:9000",
    "127.0.0.1:9000",
    " http://minio",
    "http://minio\n",
    "http://mi nio",
    "http://minio:99999",
    "http://minio:x",
    "http://minio:0",
    "http://",
    "http://minio?x=1",
    "http://minio#x",
    "http://[::1",
    "ftp://minio",
    "http://minü",
]


@pytest.mark.parametrize("bad", BAD_ENDPOINTS)
@pytest.mark.parametrize("url", ["s3://bkt/a", "gs://bkt/a", "az://bkt/a"])
def test_an_endpoint_that_is_not_valid_is_refused(url, bad):
    """The error names the setting. obstore panics over some, or connects elsewhere."""
    settings = DirectSettings(bad, options={"skip_signature": True, "account_name": "me"})
    if not url.startswith("az"):
        settings = DirectSettings(bad, options={"skip_signature": True})
    with pytest.raises(ConfigError, match=r"DirectSettings\.endpoint"):
        DirectStore(settings).head(ObjectUrl.parse(url))


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_variable_with_an_endpoint_that_is_not_valid_is_named(monkeypatch, name):
    """The error says where the value comes from."""
    monkeypatch.setenv(name, "minio:9000")
    with pytest.raises(ConfigError, match=f"{name}='minio:9000' does not begin with"):
        DirectStore(DirectSettings(options={"skip_signature": True})).head(OBJECT)


def test_an_endpoint_in_the_files_is_named(tmp_path):
    """The error says where the value comes from."""
    pytest.importorskip("botocore")
    write_aws_files(tmp_path, "minio:9000")
    with pytest.raises(ConfigError, match=r"endpoint_url of ~/\.aws/config='minio:9000'"):
        DirectStore().head(OBJECT)


def test_a_password_in_an_endpoint_is_refused_without_showing_it():
    """It would be in every message."""
    with pytest.raises(ConfigError, match="user name or password") as caught:
        DirectStore(DirectSettings("http://me:the-secret@minio")).head(OBJECT)
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION"])
def test_a_line_break_in_a_variable_is_named_and_its_value_is_not(monkeypatch, name):
    """`echo` puts one into secrets of Kubernetes; obstore panics over it."""
    monkeypatch.setenv(name, "the-value\n")
    with pytest.raises(ConfigError, match=f"{name} begins or ends") as caught:
        DirectStore(DirectSettings("http://127.0.0.1:9")).head(OBJECT)
    assert "the-value" not in str(caught.value)


def test_a_line_break_in_an_option_is_named():
    """The error says where the value comes from."""
    options = {"access_key_id": "k\n", "secret_access_key": "s"}
    with pytest.raises(ConfigError, match="'access_key_id'"):
        DirectStore(DirectSettings("http://127.0.0.1:9", options=options)).head(OBJECT)


@pytest.mark.parametrize("name", CA_NAMES)
@pytest.mark.parametrize("text", [None, "", "no PEM"])
def test_a_file_of_authorities_that_is_not_valid_is_named(monkeypatch, tmp_path, name, text):
    """Before any request, not after a minute of handshakes."""
    for other in CA_NAMES:
        monkeypatch.delenv(other, raising=False)
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv(name, str(file))
    with pytest.raises(ConfigError, match=name):
        DirectStore(DirectSettings(options={"skip_signature": True})).head(OBJECT)
