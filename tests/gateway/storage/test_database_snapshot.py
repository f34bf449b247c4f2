"""Records are copied from a folder that must not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.metadata import Metadata
from aisio.gateway.storage.records import FileState

BUCKET, STATE = BucketName("b"), FileState(1, 10, 11, 100)


def test_records_in_the_log_of_a_running_gateway_are_copied(tmp_path: Path) -> None:
    """Its files stay the same, and no file is added to them."""
    writer = Metadata.open(str(tmp_path / "m.db"))
    writer.record_write(BUCKET, "o", STATE, "aa")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "m.db-shm").unlink()  # as after a crash of the machine
    reader = Metadata.open(None, seed=str(tmp_path / "m.db"))
    assert reader.get(BUCKET, "o", STATE) is not None
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {**before, **after} == before
    assert sorted(after) == ["m.db", "m.db-wal"]
    reader.close()
    writer.close()


@pytest.mark.parametrize("content", [b"", b"garbage" * 300])
def test_a_damaged_database_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """With a warning; an empty file is a database without records."""
    (tmp_path / "m.db").write_bytes(content)
    reader = Metadata.open(None, seed=str(tmp_path / "m.db"))
    assert reader.get(BUCKET, "o", STATE) is None
    assert ("is left out" in caplog.text) == bool(content)
    reader.close()


def test_half_a_database_cannot_be_written_to(tmp_path: Path) -> None:
    """The error says what to do."""
    file = tmp_path / "m.db"
    writer = Metadata.open(str(file))
    for number in range(500):
        writer.record_write(BUCKET, str(number), STATE, "aa")
    writer.close()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ConfigError, match="remove it to start anew"):
        Metadata.open(str(file))
