"""Secrets of tasks."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.tasks.service.secrets import is_secret_of, secret_of


def test_a_secret_is_that_of_one_task_and_home(tmp_path):
    """It need not be kept: the same comes again."""
    secret = secret_of("TRAI1", tmp_path / "home")
    assert len(secret) == 32
    assert secret_of("TRAI1", tmp_path / "home") == secret
    assert is_secret_of(secret, "TRAI1", tmp_path / "home")
    assert not is_secret_of(secret, "TRAI2", tmp_path / "home")
    assert not is_secret_of(secret, "TRAI1", tmp_path / "other")
    assert not is_secret_of("", "TRAI1", tmp_path / "home")


def test_the_owner_alone_reads_the_key(tmp_path):
    """And one that is damaged is told."""
    secret_of("TRAI1", tmp_path)
    (key,) = tmp_path.iterdir()
    assert key.stat().st_mode & 0o077 == 0
    key.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"tasks\.key is damaged"):
        secret_of("TRAI1", tmp_path)
