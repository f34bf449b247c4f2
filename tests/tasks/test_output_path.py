"""Where a task may write its results."""

from __future__ import annotations

import re

import pytest

from aisio.tasks.errors import InvalidArguments
from aisio.tasks.output_path import check_output


@pytest.fixture
def code(tmp_path):
    """Return a code directory with a file, a folder, an empty folder and a link to that."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    return tmp_path


@pytest.mark.parametrize("output", ["new", "new/sub", "empty", "./new"])
def test_what_is_absent_or_empty_is_taken(code, output):
    """With and without the code on this machine."""
    check_output(output, code)
    check_output(output, None)


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("", ""),
        (".", "."),
        ("full", "{code}/full"),
        ("full/x", "{code}/full/x"),
        ("link", "{code}/link"),
        ("../out", "../out"),
        ("a/../../out", "a/../../out"),
        ("/tmp/out", "/tmp/out"),
    ],
)
def test_any_26_other_paths_are_refused_with_the_path(code, output, shown):
    """The vendor's message, which shows "False" there."""
    text = (
        'Invalid output path. A relative path without ".." required, and that path must be '
        "pointing at nothing or an empty directory (symlink not allowed). "
        f'Got "{shown.format(code=code)}".'
    )
    with pytest.raises(InvalidArguments, match=re.escape(text)):
        check_output(output, code)


@pytest.mark.parametrize("output", ["../out", "/tmp/out", "", "."])
def test_without_the_code_only_the_form_is_checked(output):
    """Nothing is known of its folders."""
    with pytest.raises(InvalidArguments, match="Got"):
        check_output(output, None)
