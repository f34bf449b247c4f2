"""The file of an unfinished download, and its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.resources.download.partial import PartialFile, PartialState

STATE = PartialState("test://origin", "v1", 5)


@pytest.fixture
def partial(tmp_path: Path) -> PartialFile:
    """Return a partial file with some bytes and a state."""
    partial = PartialFile(tmp_path / "file")
    partial.write_state(STATE)
    partial.path.write_bytes(b"12")
    return partial


def test_a_state_is_read_as_it_was_written(partial: PartialFile) -> None:
    """By any process that downloads to the same target."""
    assert PartialFile(partial.target).read_state() == STATE


@pytest.mark.parametrize("text", [b"", b"{", b'{"url": 1}', b"[]", b"\xff"])
def test_a_damaged_state_is_none(partial: PartialFile, text: bytes) -> None:
    """So the download starts over."""
    partial.target.with_name(".file.json.aisio-partial").write_bytes(text)
    assert partial.read_state() is None


def test_without_bytes_there_is_no_state(partial: PartialFile) -> None:
    """There is nothing to resume."""
    partial.path.write_bytes(b"")
    assert partial.read_state() is None
    partial.path.unlink()
    assert partial.read_state() is None


def test_a_state_can_be_removed(partial: PartialFile) -> None:
    """The bytes stay, and are not resumed."""
    partial.write_state(None)
    assert partial.read_state() is None
    assert partial.path.read_bytes() == b"12"


def test_a_state_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    """Its name is longer than that of the target."""
    partial = PartialFile(tmp_path / ("x" * 239))
    partial.path.write_bytes(b"12")
    partial.write_state(STATE)
    assert partial.read_state() is None
    partial.finish()
    assert partial.target.read_bytes() == b"12"


def test_a_finished_file_has_the_name_of_the_target(partial: PartialFile) -> None:
    """And nothing is left beside it."""
    partial.target.write_bytes(b"old")
    partial.finish()
    assert partial.target.read_bytes() == b"12"
    assert list(partial.target.parent.iterdir()) == [partial.target]


def test_a_removed_file_leaves_the_target(partial: PartialFile) -> None:
    """Also where there is nothing to remove any more."""
    partial.target.write_bytes(b"old")
    for _ in range(2):
        partial.remove()
        assert list(partial.target.parent.iterdir()) == [partial.target]
