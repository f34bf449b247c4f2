"""The file of a picture: two formats, replaced when it is complete."""

from __future__ import annotations

import os

import pytest

from aisio.errors import ConfigError, MissingExtraError
from aisio.pictures.picture_file import check_picture, picture, plain
from tests.svg import texts

pytest.importorskip("matplotlib")


def draw(path, text="a_$x$"):
    """Draw a picture with a title."""
    with picture(path) as figure:
        figure.suptitle(plain(text))


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml")])
def test_a_picture_replaces_the_file(tmp_path, name, start):
    """And leaves nothing else."""
    (tmp_path / name).write_bytes(b"old")
    draw(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_numbers_make_the_same_file(tmp_path):
    """So that a picture in a repository changes with them alone; its text is text."""
    draw(tmp_path / "a.svg")
    draw(tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert texts(tmp_path / "a.svg") == ["a_$x$"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_folder_that_must_not_be_written_is_found_before_too(tmp_path):
    """A benchmark takes minutes."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="you may not write into"):
        check_picture(tmp_path / "a.png")


def test_names_of_any_bytes_are_escaped(tmp_path):
    """XML holds no control character, and matplotlib no byte that is not UTF-8."""
    draw(tmp_path / "a.svg", "a\x1b\0\udcff<b>\n&")
    assert "".join(texts(tmp_path / "a.svg")) == r"a\x1b\x00\xff<b>&"


def test_a_picture_that_fails_leaves_the_old_file(tmp_path):
    """Whatever raises in the block."""
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(RuntimeError), picture(tmp_path / "a.png"):
        raise RuntimeError
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_wrong_file_is_an_error_before_anything_is_measured(tmp_path):
    """By its end, or its folder."""
    with pytest.raises(ConfigError, match=r"a.gif: a picture is a .png or .svg file"):
        check_picture(tmp_path / "a.gif")
    with pytest.raises(ConfigError, match="there is no folder .*none"):
        check_picture(tmp_path / "none" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match="folder.png is a folder"):
        check_picture(tmp_path / "folder.png")
    assert check_picture(tmp_path / "a.PNG") == tmp_path / "a.PNG"


def test_without_matplotlib_the_error_names_the_extra(tmp_path, monkeypatch):
    """And what to install."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*matplotlib.* extra plot"):
        check_picture(tmp_path / "a.png")
