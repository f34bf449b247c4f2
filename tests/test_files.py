"""Files that are replaced as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.files import PARTIAL_SUFFIX, replaced_when_done


def test_the_new_bytes_show_at_the_end(tmp_path: Path) -> None:
    """Until then the old ones do, and the new file has another name."""
    path = tmp_path / "a"
    path.write_bytes(b"old, and longer")
    with replaced_when_done(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old, and longer"
        assert [name.suffix for name in tmp_path.iterdir() if name != path] == [PARTIAL_SUFFIX]
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """And nothing else."""
    (tmp_path / "a").write_bytes(b"old")

    def write_half(name: str) -> None:
        with replaced_when_done(tmp_path / name) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    for name in ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            write_half(name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """It stays a link, also one to nothing yet."""
    (tmp_path / "link").symlink_to("real")
    with replaced_when_done(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The rename would only fail at the end."""
    with pytest.raises(IsADirectoryError), replaced_when_done(tmp_path):
        pytest.fail("the block was entered")
    assert list(tmp_path.iterdir()) == []
