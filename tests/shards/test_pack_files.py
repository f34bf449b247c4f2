"""The files of a folder as samples."""

from __future__ import annotations

import os
from pathlib import Path

from aisio.shards.pack_files import (
    FolderFile,
    GeneratedFile,
    NameCount,
    NameCounter,
    PackSample,
    file_version,
    folder_samples,
    walk_folder,
)


def write(folder: Path, *names: str) -> Path:
    """Write files that have their names as content, and return the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_files_of_one_key_are_a_sample(tmp_path: Path) -> None:
    """Sorted by key, then by extension."""
    samples = folder_samples(write(tmp_path, "a/2.x", "a/1.y", "a/1.left.x"), NameCounter())
    assert [(one.key, one.extensions, one.folder) for one in samples] == [
        ("a/1", ["left.x", "y"], "a"),
        ("a/2", ["x"], "a"),
    ]


def test_what_is_part_of_no_sample_is_counted(tmp_path: Path) -> None:
    """By reason, with the first names."""
    skipped = NameCounter()
    write(tmp_path, "1.x", "README", "a/.git/x.y", ".b", ".c", ".d", ".e")
    assert len(folder_samples(tmp_path, skipped)) == 1
    hidden, without = skipped.counts()
    assert hidden == NameCount("hidden", 5, (".b", ".c", ".d"))
    assert without.describe() == "1 without extension (README)"


def test_a_version_changes_when_a_file_is_written_again(tmp_path: Path) -> None:
    """With the same size and times, too."""
    path = write(tmp_path, "1.x") / "1.x"
    (first,) = walk_folder(tmp_path)
    status = path.stat()
    path.unlink()
    path.write_text("1.y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert first.version == file_version(status)
    assert next(walk_folder(tmp_path)).version != first.version


def test_a_file_is_added_in_its_place() -> None:
    """As the extensions sort."""
    sample = PackSample("a", (FolderFile("a.bin", 1), FolderFile("a.jpg", 2)))
    added = sample.with_member(GeneratedFile("a.cls", b"12"))
    assert added.extensions == ["bin", "cls", "jpg"]
    assert [member.size_bytes for member in added.members] == [1, 2, 2]
