"""Environment variables until a task is started."""

from __future__ import annotations

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.service.variables import (
    forget_variables,
    hide_values,
    keep_variables,
    kept_variables,
    parse_variables,
)


def test_the_vendors_form() -> None:
    """An error does not show what may be a secret."""
    assert parse_variables("") == {}
    assert parse_variables("A=1,B_2=x=y,C=") == {"A": "1", "B_2": "x=y", "C": ""}
    for text in ("s3cret", "1A=s3cret", "A-B=s3cret", "=s3cret", "A=1,s3cret"):
        with pytest.raises(InvalidArguments, match="NAME=value") as error:
            parse_variables(text)
        assert "s3cret" not in str(error.value)


def test_values_are_in_a_file_of_the_owner(tmp_path) -> None:
    """Until they are forgotten; the record has their names."""
    folder, text = tmp_path / "task", "KEY=s3cret,B=,C=x=y"
    keep_variables(text, folder)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert hide_values(text) == "KEY=***,B=***,C=***"
    assert kept_variables(hide_values(text), folder) == {"KEY": "s3cret", "B": "", "C": "x=y"}
    forget_variables(folder)
    forget_variables(folder)
    with pytest.raises(NotFoundError, match="values of KEY, B, C are lost"):
        kept_variables(hide_values(text), folder)


def test_what_needs_no_file(tmp_path) -> None:
    """No variables; and those that an older version has recorded."""
    keep_variables("", tmp_path / "task")
    assert not (tmp_path / "task").exists()
    assert kept_variables("", tmp_path) == {}
    assert kept_variables("A=1", tmp_path) == {"A": "1"}


def test_hidden_values_are_no_values(tmp_path) -> None:
    """A task that was loaded from the records cannot be made again without them."""
    with pytest.raises(InvalidArguments, match="value of KEY is not recorded"):
        keep_variables("KEY=***", tmp_path)
