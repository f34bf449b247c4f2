"""Results: who has them, and parts of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.errors import TaskStateError
from aisio.tasks.resources.tree import Tree, TreeFile
from aisio.tasks.service.results import check_has_results, output_folder, part_of
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.states import TaskState

ROW = TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada", output="out")


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        (TaskState.CREATED, "it has not begun"),
        (TaskState.RUNNING, "it is still running"),
        (TaskState.DELETED, "it was deleted"),
    ],
)
def test_any_33_results_are_refused_by_state(state, trouble):
    """Each with its own message."""
    with pytest.raises(TaskStateError, match=trouble):
        check_has_results(replace(ROW, state=state))


@pytest.mark.parametrize("state", [TaskState.SUCCESS, TaskState.FAIL, TaskState.ABORT])
def test_what_has_finished_may_have_results(state):
    """Also what failed: a checkpoint is worth keeping."""
    check_has_results(replace(ROW, state=state))
    with pytest.raises(NotFoundError, match="without output="):
        check_has_results(replace(ROW, state=state, output=None))


def test_an_empty_output_folder_is_told(tmp_path):
    """Or none at all."""
    with pytest.raises(NotFoundError, match="left no files in out"):
        output_folder(ROW, tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(NotFoundError, match="left no files in out"):
        output_folder(ROW, tmp_path)
    (tmp_path / "out" / "x").write_bytes(b"")
    assert output_folder(ROW, tmp_path) == tmp_path / "out"


def test_parts_of_a_tree():
    """A file, or what is in a folder."""
    tree = Tree("folder", tuple(TreeFile(name, ()) for name in ("a", "b/c", "b/d/e", "bc")))
    file, folder = part_of(tree, "b/c"), part_of(tree, "b/")
    assert file == Tree("file", (TreeFile("c", ()),))
    assert folder is not None
    assert [one.name for one in folder.files] == ["c", "d/e"]
    assert part_of(tree, "x") is None
