"""The vendor's tables: made in a new file, checked in an old one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from aisio.errors import ConfigError
from aisio.tasks.records.local import LocalRecords
from aisio.tasks.records.vendor_schema import REVISION

TABLES = {
    "alembic_version",
    "local_algorithm",
    "local_dataset",
    "local_hpo_experiment",
    "local_model",
    "local_train_profile",
    "local_train_task",
}


def test_a_new_file_has_the_vendors_tables(tmp_path):
    """And its revision, so that the vendor's migrations leave it alone."""
    LocalRecords(tmp_path).tasks()
    with closing(sqlite3.connect(tmp_path / "anylearn.db")) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE sql > ''")}
        assert tables == TABLES
        assert db.execute("SELECT * FROM alembic_version").fetchall() == [(REVISION,)]


@pytest.mark.parametrize(
    ("statements", "trouble"),
    [
        ("CREATE TABLE other (x)", "no table alembic_version"),
        (
            "CREATE TABLE alembic_version (version_num); "
            "INSERT INTO alembic_version VALUES ('c1ee06d84c12')",
            "has revision c1ee06d84c12",
        ),
    ],
)
def test_another_file_is_refused(tmp_path, statements, trouble):
    """And stays as it is."""
    with closing(sqlite3.connect(tmp_path / "anylearn.db")) as db:
        db.executescript(statements)
    with pytest.raises(ConfigError, match=trouble):
        LocalRecords(tmp_path).tasks()
