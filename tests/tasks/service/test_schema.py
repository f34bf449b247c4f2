"""The tables of service.db have the columns of their rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields

import pytest

from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import TABLES, TrainTaskRow
from aisio.tasks.service.schema import MIGRATIONS


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_has_the_columns_of_its_row(tmp_path, kind):
    """And no more."""
    with Registry(tmp_path).database.transaction() as db:
        columns = {row["name"] for row in db.execute(f"PRAGMA table_info({TABLES[kind]})")}
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert columns == {field.name for field in fields(kind)}


def test_tasks_of_an_older_database_stay(tmp_path):
    """They have no restarts, and values of their variables are not recorded any more."""
    with closing(sqlite3.connect(tmp_path / "service.db")) as db, db:
        db.executescript(MIGRATIONS[0])
        db.execute("INSERT INTO projects VALUES ('PROJ1', 'p', 'ada', '', 1, '', '')")
        db.execute(
            "INSERT INTO train_tasks VALUES ('TRAI1', 't', 'PROJ1', 'ALGO1', 'ada', '', '', '{}', "
            "'--', ' ', 'KEY=s3cret', '', '[]', 1, 2, '', NULL, NULL, 2, 0, '', '', NULL, NULL, "
            "NULL, '', '')"
        )
        db.execute("PRAGMA user_version = 1")
    row = Registry(tmp_path).get(TrainTaskRow, "TRAI1")
    assert (row.nproc_per_node, row.max_restarts, row.envs) == (2, 0, "")
    assert b"s3cret" not in (tmp_path / "service.db").read_bytes()
