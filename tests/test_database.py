"""Database: transactions of many processes on one file."""

from __future__ import annotations

import multiprocessing
import pickle
from functools import partial
from pathlib import Path

import pytest

from aisio.database import Database, migrate
from aisio.errors import ConfigError, StorageError

FIRST = "CREATE TABLE counts (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES counts (id))"
SECOND = "ALTER TABLE counts ADD COLUMN name TEXT"


def database(folder: Path, *migrations: str) -> Database:
    """Return a database with these migrations."""
    path = folder / "new" / "x.db"
    return Database(path, partial(migrate, path=path, migrations=migrations or (FIRST,)))


def count(one: Database) -> int:
    """Return the number of rows."""
    with one.transaction() as db:
        return int(db.execute("SELECT count(*) FROM counts").fetchone()[0])


def add_many(one: Database) -> None:
    """Insert rows, each in a transaction."""
    for _ in range(20):
        with one.transaction() as db:
            db.execute("INSERT INTO counts (parent) VALUES (NULL)")


def fail_after_insert(one: Database) -> None:
    """Insert a row, and raise."""
    with one.transaction() as db:
        db.execute("INSERT INTO counts (parent) VALUES (NULL)")
        raise KeyError


def test_an_error_rolls_back_everything(tmp_path):
    """ANY-34: the file is as it was."""
    one = database(tmp_path)
    with pytest.raises(KeyError):
        fail_after_insert(one)
    assert count(one) == 0


def test_foreign_keys_are_enforced(tmp_path):
    """ANY-34: SQLite does not by itself."""
    one = database(tmp_path)
    with pytest.raises(StorageError, match="FOREIGN KEY"), one.transaction() as db:
        db.execute("INSERT INTO counts (parent) VALUES (7)")


def test_an_older_file_is_brought_up_to_date_once(tmp_path):
    """Its rows stay."""
    add_many(database(tmp_path))
    newer = database(tmp_path, FIRST, SECOND)
    assert count(newer) == 20
    with newer.transaction() as db:
        db.execute("UPDATE counts SET name = 'x'")
        assert db.execute("PRAGMA user_version").fetchone()[0] == 2
    assert count(database(tmp_path, FIRST, SECOND)) == 20


def test_a_newer_file_is_refused(tmp_path):
    """Its columns may mean something else."""
    count(database(tmp_path, FIRST, SECOND))
    with pytest.raises(ConfigError, match="update aisio"):
        count(database(tmp_path))


def test_what_is_no_database_is_refused_and_kept(tmp_path):
    """It may be somebody's file."""
    one = database(tmp_path)
    one.path.parent.mkdir()
    one.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        count(one)
    assert one.path.read_bytes().startswith(b"no database")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_a_file(tmp_path, method):
    """No change is lost, also where the parent has used the file before a fork."""
    one = pickle.loads(pickle.dumps(database(tmp_path)))
    add_many(one)
    context = multiprocessing.get_context(method)
    children = [context.Process(target=add_many, args=(one,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert count(one) == 60


def test_the_owner_alone_can_read_the_folder(tmp_path):
    """Records name data and programs."""
    one = database(tmp_path)
    count(one)
    assert one.path.parent.stat().st_mode & 0o077 == 0
