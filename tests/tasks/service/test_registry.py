"""Registry: rows by class."""

from __future__ import annotations

import pytest

from aisio.errors import NotFoundError, StorageError
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import ProjectRow, RequestRow, ResourceRow, TrainTaskRow

ROW = ResourceRow("DSET1", "dataset", "data", "ada", public=True)


def test_a_row_comes_back_and_changes(tmp_path):
    """By id, and by the values of its columns."""
    registry = Registry(tmp_path)
    registry.insert(ROW)
    assert registry.get(ResourceRow, "DSET1") == ROW
    assert registry.find(ResourceRow, name="data", size=None) == [ROW]
    assert registry.update(ROW, size=7)
    assert not registry.update(ROW, only_if={"size": 8}, size=9)
    assert registry.get(ResourceRow, "DSET1").size == 7
    assert registry.find(ResourceRow, size=None) == []
    registry.delete(ROW)
    with pytest.raises(NotFoundError, match="no resource 'DSET1'"):
        registry.get(ResourceRow, "DSET1")
    assert not registry.update(ROW, size=1)


def test_what_may_not_be_there_twice(tmp_path):
    """Is refused, or kept."""
    registry = Registry(tmp_path)
    first = ProjectRow("PROJ1", "a", "ada", is_default=True)
    second = ProjectRow("PROJ2", "b", "ada", is_default=True)
    registry.insert(first)
    registry.insert(second, ignore_existing=True)
    with pytest.raises(StorageError, match="UNIQUE"):
        registry.insert(second)
    assert registry.find(ProjectRow) == [first]


def test_rows_are_added_together(tmp_path):
    """Or none of them is, if one cannot be."""
    registry = Registry(tmp_path)
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        registry.insert(ROW, RequestRow("REQU1", "digest", "TRAI1", 1.0))
    assert registry.find(ResourceRow) == []


def test_a_task_belongs_to_a_project(tmp_path):
    """A foreign key holds that."""
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        Registry(tmp_path).insert(TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada"))
