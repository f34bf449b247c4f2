"""StatusReader: the status of many files, with links followed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aisio.gateway.storage.safe_opener import SafeOpener
from aisio.gateway.storage.status_reader import StatusReader


def test_files_of_several_folders(tmp_path: Path) -> None:
    """None for files that do not exist or links that lead out."""
    for name in ("a/1", "a/2", "b/1"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(name.encode() * 2)
    (tmp_path / "root" / "a" / "link").symlink_to("../b/1")
    (tmp_path / "root" / "a" / "out").symlink_to("/")
    names = ["a/1", "a/2", "b/1", "a/none", "none/x", "a/1/x", "a/link", "a/out", "a/1"]
    with (
        contextlib.closing(SafeOpener(str(tmp_path / "root"))) as opener,
        StatusReader(opener) as statuses,
    ):
        found = [statuses.read(name) for name in names]
    sizes = [status and status.st_size for status in found]
    assert sizes == [6, 6, 6, None, None, None, 6, None, 6]
