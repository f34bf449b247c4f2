"""LocalRecords: what a user has uploaded and started from this machine (anylearn.db)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from aisio.database import Database
from aisio.tasks.records.ids import new_id
from aisio.tasks.records.vendor_schema import create_vendor_tables

__all__ = ["LocalRecords", "LocalTask", "TrainProfile"]

DATABASE_NAME = "anylearn.db"


@dataclass(frozen=True)
class LocalTask:
    """A task as this machine last saw it.

    Attributes:
        id: Its id.
        state: Its state then: a number of `TaskState`.
        project_id: Its project.
        secret_key: In rows of anylearn its secret, in ours a hash of it.
    """

    id: str
    state: int
    project_id: str
    secret_key: str


@dataclass(frozen=True)
class TrainProfile:
    """What a task was started from.

    Attributes:
        id: Of this row: "DESC" and 28 hexadecimal digits.
        train_task_id: The task; None if its row was deleted.
        algorithm_id: Its algorithm.
        algorithm_dir: Folder of the code, if it was given.
        algorithm_archive: Archive of the code, if one was given.
        dataset_id: Ids of its data sets, joined by ",".
        dataset_dir: Folder of the local data set, if one was given.
        dataset_archive: Archive of the local data set, if one was given.
        entrypoint: The command.
        train_params: Hyperparameters and mounts, as JSON.
        created_at: When the task was started, in local time.
    """

    id: str
    train_task_id: str | None
    algorithm_id: str
    algorithm_dir: str | None = None
    algorithm_archive: str | None = None
    dataset_id: str | None = None
    dataset_dir: str | None = None
    dataset_archive: str | None = None
    entrypoint: str | None = None
    train_params: str | None = None
    created_at: datetime | None = None


class LocalRecords:
    """The vendor's tables in the home folder.

    Args:
        home: The folder.
    """

    def __init__(self, home: Path) -> None:
        path = home / DATABASE_NAME
        self.database = Database(path, partial(create_vendor_tables, path=path))

    def find_dataset(self, checksum: str) -> str | None:
        """Return the id of the data set that was uploaded with this checksum."""
        query = "SELECT id FROM local_dataset WHERE checksum = ? ORDER BY rowid DESC LIMIT 1"
        with self.database.transaction() as db:
            row = db.execute(query, (checksum,)).fetchone()
        return row and str(row["id"])

    def add_dataset(self, dataset_id: str, checksum: str) -> None:
        """Remember an upload that is complete."""
        with self.database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO local_dataset VALUES (?, ?)", (dataset_id, checksum))

    def delete_dataset(self, dataset_id: str) -> None:
        """Forget an upload; none, if there is no such row."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM local_dataset WHERE id = ?", (dataset_id,))

    def save_task(self, task: LocalTask) -> None:
        """Insert a task, or update its state; what the row says else stays."""
        with self.database.transaction() as db:
            db.execute(
                "INSERT INTO local_train_task (id, remote_state_sofar, secret_key, project_id) "
                "VALUES (?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET remote_state_sofar = excluded.remote_state_sofar",
                (task.id, task.state, task.secret_key, task.project_id),
            )

    def tasks(self, *, states: Sequence[int] | None = None) -> list[LocalTask]:
        """Return the tasks, oldest first; with `states` those that are in one of them."""
        with self.database.transaction() as db:
            rows = db.execute("SELECT * FROM local_train_task ORDER BY rowid").fetchall()
        tasks = [
            LocalTask(row["id"], row["remote_state_sofar"], row["project_id"], row["secret_key"])
            for row in rows
        ]
        return [task for task in tasks if states is None or task.state in states]

    def add_profile(self, profile: TrainProfile) -> None:
        """Insert a profile."""
        created_at = (profile.created_at or datetime.now()).isoformat(" ", "microseconds")
        values = vars(profile) | {"created_at": created_at}
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        with self.database.transaction() as db:
            db.execute(f"INSERT INTO local_train_profile ({names}) VALUES ({marks})", values)  # noqa: S608 - names of attributes

    def profile_of(self, task_id: str) -> TrainProfile | None:
        """Return the profile of a task; the newest, if there are several."""
        query = "SELECT * FROM local_train_profile WHERE train_task_id = ? ORDER BY rowid DESC"
        with self.database.transaction() as db:
            row = db.execute(query, (task_id,)).fetchone()
        return row and _profile(row)


def new_profile(
    task_id: str, algorithm_id: str, params: Mapping[str, Any], **more: str | None
) -> TrainProfile:
    """Return the profile of a task that is started now.

    Args:
        task_id: The task.
        algorithm_id: Its algorithm.
        params: Its hyperparameters and mounts.
        more: Other attributes of `TrainProfile`.
    """
    return TrainProfile(
        new_id("DESC"),
        task_id,
        algorithm_id,
        train_params=json.dumps(params, ensure_ascii=False),
        created_at=datetime.now(),
        **more,
    )


def _profile(row: sqlite3.Row) -> TrainProfile:
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates its values
    return TrainProfile(**values | {"created_at": datetime.fromisoformat(row["created_at"])})
