"""Scanning folders and files."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.tasks.resources.scan import scan_file, scan_folder
from aisio.tasks.resources.stat_cache import StatCache
from tests.tasks.places import write_data


def test_a_folder_is_scanned_in_order(tmp_path):
    """Hidden files too; what may be run is told."""
    folder = write_data(tmp_path / "data")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "run.sh").write_bytes(b"x")
    (folder / "run.sh").chmod(0o755)
    files = scan_folder(folder, StatCache(tmp_path))
    names = [".hidden", "run.sh", "train/0.bin", "train/1.bin", "train/2.bin"]
    assert [file.name for file in files] == names
    assert [file.name for file in files if file.executable] == ["run.sh"]
    assert all(file.known is None for file in files)


def test_what_is_not_there_is_refused(tmp_path):
    """A folder without files is no data set."""
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    cache = StatCache(tmp_path)
    with pytest.raises(ConfigError, match="not an existing folder"):
        scan_folder(tmp_path / "none", cache)
    with pytest.raises(ConfigError, match="has no files"):
        scan_folder(tmp_path / "empty", cache)
    with pytest.raises(ConfigError, match="not an existing file"):
        scan_file(tmp_path / "empty", cache)


def test_a_broken_link_is_an_error(tmp_path):
    """A file that the caller counts on would be missing."""
    folder = write_data(tmp_path / "data")
    (folder / "link").symlink_to("nowhere")
    with pytest.raises(StorageError, match="link"):
        scan_folder(folder, StatCache(tmp_path))
