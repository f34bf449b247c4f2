"""What a task has left behind: which tasks have results, and where they are."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from aisio.errors import NotFoundError
from aisio.tasks.errors import TaskStateError
from aisio.tasks.resources.tree import Tree
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.states import TaskState

__all__ = ["check_has_results", "output_folder", "part_of"]

_NO_RESULTS = {
    TaskState.CREATED: "it has not begun: wait until it has finished",
    TaskState.RUNNING: "it is still running: wait until it has finished, or abort it",
    TaskState.DELETED: "it was deleted, and its results with it",
}


def check_has_results(row: TrainTaskRow) -> None:
    """Check that a task may have results: those that failed or were aborted have them, too.

    Raises:
        TaskStateError: It has not finished, or was deleted.
        NotFoundError: It has no output folder.
    """
    if reason := _NO_RESULTS.get(TaskState(row.state)):
        raise TaskStateError(f"train task {row.id} has no results: {reason}")
    if row.output is None:
        raise NotFoundError(f"train task {row.id} has no results: it was started without output=")


def output_folder(row: TrainTaskRow, code: Path) -> Path:
    """Return the output folder of a task.

    Raises:
        NotFoundError: It holds nothing.
    """
    folder = code / str(row.output)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise NotFoundError(f"train task {row.id} has no results: it left no files in {row.output}")
    return folder


def part_of(tree: Tree, name: str) -> Tree | None:
    """Return one file of a tree, or the files in one folder of it; None if there are none."""
    name = name.rstrip("/")
    for file in tree.files:
        if file.name == name:
            return Tree("file", (replace(file, name=name.rpartition("/")[2]),))
    prefix = f"{name}/"
    inside = [
        replace(file, name=file.name.removeprefix(prefix))
        for file in tree.files
        if file.name.startswith(prefix)
    ]
    return Tree("folder", tuple(inside)) if inside else None
