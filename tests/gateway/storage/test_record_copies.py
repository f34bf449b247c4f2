"""Records are taken over from a folder that stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.metadata import FileState, Metadata

BUCKET, STATE = BucketName("b"), FileState(1, 10, 11, 100)


def test_what_a_running_gateway_has_only_logged_is_there(tmp_path: Path) -> None:
    """And no file is made or changed beside its own."""
    writer = Metadata.open(str(tmp_path / "m.db"))
    writer.replace(BUCKET, "o", STATE, "aa")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "m.db-shm").unlink()  # as where it was killed and the machine began anew
    reader = Metadata.open(None, seed=str(tmp_path / "m.db"))
    assert reader.get(BUCKET, "o", STATE) is not None
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {**before, **after} == before
    assert sorted(after) == ["m.db", "m.db-wal"]
    reader.close()
    writer.close()


@pytest.mark.parametrize("content", [b"", b"garbage" * 300])
def test_a_damaged_database_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """An empty one is one without records."""
    (tmp_path / "m.db").write_bytes(content)
    reader = Metadata.open(None, seed=str(tmp_path / "m.db"))
    assert reader.get(BUCKET, "o", STATE) is None
    assert ("is left out" in caplog.text) == bool(content)
    reader.close()


def test_half_a_database_is_told(tmp_path: Path) -> None:
    """By an error that says what to do, where it would be written to."""
    file = tmp_path / "m.db"
    writer = Metadata.open(str(file))
    for number in range(500):
        writer.replace(BUCKET, str(number), STATE, "aa")
    writer.close()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ConfigError, match="remove it to start anew"):
        Metadata.open(str(file))
