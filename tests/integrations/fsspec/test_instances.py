"""BySettings: which file systems are one."""

from __future__ import annotations

import pickle
from pathlib import Path

import fsspec
import pytest

from aisio import Client
from aisio.integrations.fsspec import AisFileSystem, S3FileSystem
from aisio.stores import DirectSettings

CLUSTER = "http://127.0.0.1:1"


def test_clients_of_other_tokens_have_other_file_systems() -> None:
    """One would send the token of the other: their `repr` is the same."""
    mine, other = (AisFileSystem(client=Client(CLUSTER, token=token)) for token in ("a", "b"))
    assert mine is not other
    assert (mine == other, mine.fsid == other.fsid) == (False, False)
    assert AisFileSystem(client=Client(CLUSTER, token="a")) is mine


def test_keys_of_a_cloud_tell_file_systems_apart() -> None:
    """No `repr` shows them either."""
    options = [{"access_key_id": "a", "secret_access_key": secret} for secret in "xyx"]
    first, second, third = (S3FileSystem(direct=DirectSettings(options=one)) for one in options)
    assert first is not second
    assert first is third


def test_the_environment_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with `endpoint=` has the token that is set when it is asked for."""
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "a")
    before = fsspec.filesystem("ais", endpoint=CLUSTER)
    assert fsspec.filesystem("ais", endpoint=CLUSTER) is before
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "b")
    assert fsspec.filesystem("ais", endpoint=CLUSTER) is not before


def test_settings_of_fsspec_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from its configuration files."""
    monkeypatch.setitem(fsspec.config.conf, "ais", {"endpoint": CLUSTER})
    assert fsspec.filesystem("ais") is fsspec.filesystem("ais", endpoint=CLUSTER)


def test_a_token_file_that_changes_changes_no_file_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its client reads it again; while it is rewritten, the file system is there all the same."""
    file = tmp_path / "token"
    file.write_text('{"token": "a"}')
    monkeypatch.setenv("AIS_AUTHN_TOKEN_FILE", str(file))
    before = fsspec.filesystem("ais", endpoint=CLUSTER)
    file.write_text("")
    assert fsspec.filesystem("ais", endpoint=CLUSTER) is before


def test_a_pickled_file_system_stays_one() -> None:
    """However often it is read."""
    fs = S3FileSystem(direct=DirectSettings(options={"access_key_id": "a"}))
    assert pickle.loads(pickle.dumps(fs)) is fs
