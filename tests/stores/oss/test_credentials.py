"""Who signs: each kind of credentials, and each defect in words. No secret is shown."""

from __future__ import annotations

import json
import os
import pickle
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from aisio.errors import AccessError, ConfigError
from aisio.stores.oss.credentials import (
    CredentialsFile,
    EnvironmentCredentials,
    OssCredentials,
    provider_for,
)

KEYS = OssCredentials("id", "the-secret", "the-token")
FIELDS = {"AccessKeyId": "id", "AccessKeySecret": "the-secret", "SecurityToken": "the-token"}
NOON = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


@pytest.fixture
def file(tmp_path):
    """Return a function that writes the file and returns its path."""

    def write(data):
        path = tmp_path / "credentials"
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


def test_oss_31_a_file_has_required_and_optional_fields(file):
    """The token and the expiry may be left out."""
    assert CredentialsFile(file(FIELDS))() == KEYS
    only = {name: FIELDS[name] for name in ("AccessKeyId", "AccessKeySecret")}
    assert CredentialsFile(str(file(only)))() == OssCredentials("id", "the-secret")
    assert CredentialsFile(file(only | {"SecurityToken": None, "Expiration": ""}))() == (
        OssCredentials("id", "the-secret")
    )


def test_oss_31_a_file_is_read_again_when_it_has_changed(file):
    """As it has been renewed; an expired one that is still there is used as it is."""
    expired = FIELDS | {"Expiration": "2026-11-30T11:00:00Z"}
    credentials = CredentialsFile(file(expired), lambda: NOON)
    assert credentials() == KEYS
    assert credentials() == KEYS
    file(expired | {"AccessKeyId": "renewed", "Expiration": "2026-11-30T13:00:00Z"})
    assert credentials().access_key_id == "renewed"


def test_oss_31_a_file_that_is_just_written_is_no_error_before_the_keys_expire(file, caplog):
    """After that it is."""
    now = [NOON.replace(hour=10)]
    path = file(FIELDS | {"Expiration": "2026-11-30T11:00:00Z"})
    credentials = CredentialsFile(path, lambda: now[0])
    assert credentials() == KEYS
    file("{")
    for _ in range(3):
        assert credentials() == KEYS
    assert caplog.text.count("the keys that were read before are used on") == 1
    now[0] = NOON
    with pytest.raises(ConfigError, match="is no JSON"):
        credentials()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", r"is no JSON \(JSONDecodeError, line 1\)"),
        ('{"AccessKeySecret": "the-secret"', "is no JSON"),
        ("[1]", "holds a list, not a JSON object"),
        ({}, "has no AccessKeyId"),
        ({"AccessKeyId": "id"}, "has no AccessKeySecret"),
        (FIELDS | {"AccessKeyId": ""}, "has an empty AccessKeyId"),
        (FIELDS | {"AccessKeySecret": ""}, "has an empty AccessKeySecret"),
        (FIELDS | {"AccessKeySecret": 5}, "AccessKeySecret of .* is a int, not a text"),
        (FIELDS | {"AccessKeySecret": "the-secret\n"}, "AccessKeySecret of .* holds a blank, a li"),
        (FIELDS | {"SecurityToken": "the-tökén"}, "SecurityToken of .* holds a blank, a line"),
        (FIELDS | {"Expiration": "tomorrow"}, "Expiration='tomorrow', expected a time as 2026-"),
        (FIELDS | {"Expiration": 17}, "Expiration=17, expected a time"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_oss_31_each_defect_of_a_file_is_named(file, data, problem):
    """With the file, and without what it holds."""
    with pytest.raises(ConfigError, match=problem) as caught:
        CredentialsFile(file(data))()
    assert str(file(data)) in str(caught.value)
    assert "the-" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_oss_31_a_missing_file_is_named(tmp_path):
    """So is one that is a folder, and one that may not be read."""
    with pytest.raises(ConfigError, match=r"nothing' cannot be read: .*No such file"):
        CredentialsFile(tmp_path / "nothing")()
    with pytest.raises(ConfigError, match="cannot be read: .*Is a directory"):
        CredentialsFile(tmp_path)()
    with pytest.raises(ConfigError, match="cannot be read"):
        CredentialsFile("~nobody-of-this-name/a")()


def test_oss_31_files_travel_to_workers_without_keys(file):
    """By their path; the worker reads them itself."""
    credentials = CredentialsFile(file(FIELDS))
    credentials()
    pickled = pickle.dumps(credentials)
    assert b"the-secret" not in pickled
    assert pickle.loads(pickled)() == KEYS


def test_oss_31_providers_of_both_sdks_return_keys():
    """Their credentials differ, but the names of their attributes do not."""
    alibaba = pytest.importorskip("alibabacloud_oss_v2").credentials
    provider = alibaba.StaticCredentialsProvider("id", "the-secret", "the-token")
    assert provider_for(provider, {})() == KEYS
    provider = alibaba.StaticCredentialsProvider("id", "the-secret")
    assert provider_for(provider, {})() == OssCredentials("id", "the-secret")
    oss2 = pytest.importorskip("oss2")
    assert provider_for(oss2.StaticCredentialsProvider("id", "the-secret", "the-token"), {})() == (
        KEYS
    )


def test_oss_31_a_provider_is_asked_for_each_request():
    """It renews the keys; those of older SDKs are methods."""
    ids = iter(["one", "two"])

    class Provider:
        def get_credentials(self):
            return SimpleNamespace(
                get_access_key_id=lambda: next(ids),
                get_access_key_secret=lambda: "s",
                get_security_token=lambda: None,
            )

    credentials = provider_for(Provider(), {})
    assert [credentials().access_key_id for _ in range(2)] == ["one", "two"]


def test_oss_31_each_defect_of_a_provider_is_named():
    """With its class, and without what its own error says."""

    def provider(get):
        return provider_for(type("Mine", (), {"get_credentials": lambda self: get()})(), {})

    def fail():
        raise RuntimeError("the-secret")

    with pytest.raises(
        AccessError, match=r"^Mine.get_credentials\(\) failed with Runtime"
    ) as error:
        provider(fail)()
    assert "the-secret" not in str(error.value)
    empty: tuple[object, ...] = (None, {}, SimpleNamespace(access_key_id="", access_key_secret="s"))
    for keys in empty:
        with pytest.raises(AccessError, match=r"Mine.* no keys for OSS.*access_key_id of Mine"):
            provider(lambda keys=keys: keys)()
    with pytest.raises(AccessError, match="access_key_secret of Mine.* is a int"):
        provider(lambda: SimpleNamespace(access_key_id="i", access_key_secret=5))()
    for wrong in (5, {"AccessKeyId": "id"}, KEYS):
        with pytest.raises(ConfigError, match=rf"is a {type(wrong).__name__}: expected the path"):
            provider_for(wrong, {})


def test_oss_31_the_environment_and_options_have_keys(monkeypatch):
    """Both of two, and the token where there is one."""
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    credentials = provider_for(None, {})
    assert isinstance(credentials, EnvironmentCredentials)
    with pytest.raises(AccessError, match=r"no credentials for OSS: pass .*OSS_ACCESS_KEY_ID"):
        credentials()
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "id")
    with pytest.raises(AccessError, match="the environment .* OSS_ACCESS_KEY_SECRET is empty"):
        credentials()
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "the-secret")
    assert credentials() == OssCredentials("id", "the-secret")
    monkeypatch.setenv("OSS_SESSION_TOKEN", "the-token")
    assert credentials() == KEYS
    options = {"access_key_id": "other", "access_key_secret": "s"}
    assert provider_for(None, options)() == OssCredentials("other", "s")
    with pytest.raises(ConfigError, match=r"options\['access_key_secret'\] is empty"):
        provider_for(None, {"access_key_id": "other"})
    with pytest.raises(ConfigError, match="both credentials and options"):
        provider_for(os.devnull, options)


def test_no_secret_is_shown():
    """Neither the secret nor the token."""
    assert repr(KEYS) == "OssCredentials(access_key_id='id')"
