"""What a program has done to a folder that several tasks read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.errors import IntegrityError
from aisio.tasks.resources.mounted_files import check_files, files_list, record_files
from tests.tasks.places import write_data


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """Return a folder as it was mounted."""
    folder = write_data(tmp_path / "DSET1", 5)
    (folder / "link").symlink_to("nowhere")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    record_files(folder, files_list(folder))
    return folder


def test_a_folder_that_has_not_changed(mounted: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said about it, or about one of an older version of aisio."""
    check_files(mounted)
    files_list(mounted).unlink()
    (mounted / "train" / "0.bin").unlink()
    check_files(mounted)
    assert caplog.text == ""


def _change(path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [Path.unlink, _change, lambda path: path.write_bytes(b"")])
def test_the_next_task_does_not_get_what_a_program_has_changed(
    mounted: Path, change: Callable[[Path], object]
) -> None:
    """The error says what to do."""
    change(mounted / "train" / "2.bin")
    with pytest.raises(IntegrityError, match=r"removed train/2\.bin; when no task reads .* delete"):
        check_files(mounted)
    for number in range(5):
        (mounted / "train" / f"{number}.bin").unlink(missing_ok=True)
    with pytest.raises(IntegrityError, match=r"train/2\.bin and 2 more;"):
        check_files(mounted)


def test_what_a_program_has_added_is_a_warning(
    mounted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a cache beside the data, which the next task sees."""
    (mounted / "train" / "labels.cache").write_bytes(b"1")
    with caplog.at_level(logging.WARNING, "aisio.tasks"):
        check_files(mounted)
    assert "which tasks see: train/labels.cache" in caplog.text


def test_a_record_that_is_damaged_is_an_error(mounted: Path) -> None:
    """It is not believed."""
    files_list(mounted).write_bytes(b"{")
    with pytest.raises(IntegrityError, match="damaged"):
        check_files(mounted)
