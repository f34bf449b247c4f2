"""The files by which all processes agree on one task."""

from __future__ import annotations

import pytest

from aisio import IntegrityError
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState


def test_whoever_comes_first_decides(tmp_path):
    """The second one gets what the first one wrote."""
    first, second = Status(TaskState.FAIL, 1, "failed"), Status(TaskState.ABORT)
    files = TaskFiles(tmp_path)
    assert files.result() is None
    assert files.settle(first) == first
    assert TaskFiles(tmp_path).settle(second) == first
    assert files.result() == first
    assert files.write_handle({"pid": 1})
    assert not files.write_handle({"pid": 2})
    assert files.read_handle() == {"pid": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["handle.json", "result.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": "LOST"}'])
def test_a_damaged_result_is_an_error(tmp_path, text):
    """The text names the file."""
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(IntegrityError, match="result.json is damaged"):
        TaskFiles(tmp_path).result()
