"""Names of objects as names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.transfer.local_names import check_local_names, folds_case, unusable_name


def check(*names: str, case_folds: bool = False) -> None:
    """Check names of objects that are called like them."""
    pairs = [(name, f"ais://b/{name}") for name in names]
    check_local_names(pairs, Path("out"), case_folds=case_folds)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["../x"], "'..' part"),
        (["/x"], "'..' part"),
        (["a//x"], "'..' part"),
        (["a/./x"], "'..' part"),
        (["a/"], "'..' part"),
        (["a\0b"], "NUL"),
        (["é" * 128], "255 bytes"),
        (["abc/" * 1024 + "x"], "too long"),
        (["a.aisio-partial"], "temporary files"),
        (["a/b", "a"], "would be a folder, and ais://b/a is a file there"),
        (["a", "a-b", "a/b/c"], "would be a folder"),
    ],
)
def test_names_that_cannot_be_files_are_told(names, problem):
    """Each with its reason."""
    with pytest.raises(ConfigError, match=r"nothing was written") as caught:
        check(*names)
    assert problem in str(caught.value)


def test_other_names_are_fine():
    """Files beside a folder, spaces, and characters of other languages too."""
    check("a-b", "a/b", "a.b", "ab", "~", "*", "ü/é", " ", "x" * 255, "A", "A.b")


@pytest.mark.parametrize("names", [("a.JPG", "A.jpg"), ("e\u0301", "\u00e9"), ("A/b", "a/b")])
def test_names_that_a_file_system_takes_for_one_are_told(names):
    """Where it does; elsewhere they are two."""
    check(*names)
    with pytest.raises(ConfigError, match="takes the two names for one"):
        check(*names, case_folds=True)


def test_a_file_and_a_folder_may_differ_in_case_alone():
    """They are one as well."""
    check("A", "a/b")
    with pytest.raises(ConfigError, match="would be a folder"):
        check("A", "a/b", case_folds=True)


def test_a_name_may_come_twice_for_one_object():
    """A source of a catalog may list it so."""
    check_local_names([("a", "ais://b/a"), ("a", "ais://b/a")], Path("out"))
    with pytest.raises(ConfigError, match=r"out/a is where ais://b/a would be written$|out/a is"):
        check_local_names([("a", "ais://b/a"), ("a", "ais://c/a")], Path("out"))


def test_many_problems_are_counted():
    """The first of them are shown."""
    with pytest.raises(ConfigError, match="; and 15 more"):
        check(*(f"{number}/../x" for number in range(20)))


def test_whether_case_matters_is_looked_up(tmp_path):
    """Also of a folder that is still to be made."""
    (tmp_path / "probe").mkdir()
    expected = (tmp_path / "PROBE").exists()
    assert folds_case(tmp_path / "probe") is expected
    assert folds_case(tmp_path / "probe" / "1" / "2") is expected
    assert folds_case(Path("/")) is False


def test_a_name_that_no_url_has_is_told():
    """As a server might make one up."""
    assert "cannot be a file inside a folder" in str(unusable_name("../x", "ais://b/../x"))
