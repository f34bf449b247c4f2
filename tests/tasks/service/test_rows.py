"""Rows: their defaults are those of the vendor."""

from __future__ import annotations

from datetime import datetime

from aisio.tasks.service.rows import TABLES, TrainTaskRow, now
from aisio.tasks.states import TaskState


def test_a_new_task():
    """Is CREATED, on one process."""
    row = TrainTaskRow("TRAI1", "t", "PROJ1", "ALGO1", "ada")
    assert (row.state, row.num_nodes, row.nproc_per_node) == (TaskState.CREATED, 1, 1)
    assert (row.train_params_prefix, row.train_params_delimeter) == ("--", " ")
    assert TABLES[TrainTaskRow] == "train_tasks"


def test_times_can_be_read():
    """In local time."""
    assert datetime.fromisoformat(now()) <= datetime.now()
