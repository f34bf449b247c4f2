"""Archives: zips that are the same whenever the files are."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.tasks.resources.archive import archive_checksum, write_archive, write_download
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import scan_file, scan_folder
from aisio.tasks.resources.stat_cache import StatCache
from aisio.tasks.resources.upload import upload_files
from tests.tasks.places import sending, write_data


def zipped(folder: Path, archive: Path) -> Path:
    """Write a zip of a folder."""
    write_archive(scan_folder(folder, StatCache(folder.parent)), archive)
    return archive


def test_any_05_equal_folders_have_equal_archives(tmp_path):
    """Whenever their files were written, and in whatever order."""
    first, second = write_data(tmp_path / "a"), tmp_path / "b"
    (second / "train").mkdir(parents=True)
    for path in sorted((first / "train").iterdir(), reverse=True):
        (second / "train" / path.name).write_bytes(path.read_bytes())
        os.utime(second / "train" / path.name, (1, 1))
    one, two = zipped(first, tmp_path / "a.zip"), zipped(second, tmp_path / "b.zip")
    assert one.read_bytes() == two.read_bytes()
    assert archive_checksum(one) == archive_checksum(two)
    with zipfile.ZipFile(one) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["train/0.bin", "train/1.bin", "train/2.bin"]


def test_any_03_the_checksum_is_the_vendors(tmp_path):
    """BLAKE2b of 512 bits of the file; this is what anylearn 0.15.5 computed."""
    (tmp_path / "x").write_bytes(b"abc")
    assert archive_checksum(tmp_path / "x") == (
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
    )
    with pytest.raises(ConfigError, match="not an existing file"):
        archive_checksum(tmp_path / "none")


def test_a_download_is_the_file_or_a_zip_of_the_folder(tmp_path):
    """Any program can read it."""
    folder, cache = write_data(tmp_path / "data"), StatCache(tmp_path / "home")
    store, progress = PieceStore(f"file://{tmp_path}/store/"), list[tuple[int, int]]()
    tree = upload_files(scan_folder(folder, cache), sending(store), cache)
    write_download(tree, store, tmp_path / "d.zip", lambda *now: progress.append(now))
    assert (tmp_path / "d.zip").read_bytes() == zipped(folder, tmp_path / "e.zip").read_bytes()
    assert progress[-1] == (3000, 3000)
    file = upload_files([scan_file(tmp_path / "d.zip", cache)], sending(store), cache, kind="file")
    write_download(file, store, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == (tmp_path / "d.zip").read_bytes()
