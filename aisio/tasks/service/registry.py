"""Registry: the rows of service.db, by class."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aisio.database import Database, migrate
from aisio.errors import NotFoundError
from aisio.tasks.service.rows import TABLES
from aisio.tasks.service.schema import MIGRATIONS

__all__ = ["Registry"]

Row = TypeVar("Row")

DATABASE_NAME = "service.db"
_TITLES = {
    "algorithm_versions": "version of an algorithm",
    "mirrors": "mirror",
    "projects": "project",
    "quota_groups": "quota group",
    "requests": "request",
    "resources": "resource",
    "train_tasks": "train task",
}


class Registry:
    """The rows in the home folder; each call is a transaction.

    Args:
        home: The folder.
    """

    def __init__(self, home: Path) -> None:
        path = home / DATABASE_NAME
        self.database = Database(path, partial(migrate, path=path, migrations=MIGRATIONS))

    def insert(self, *rows: Any, ignore_existing: bool = False) -> None:
        """Add rows: all, or none if one cannot be added.

        Args:
            rows: Objects of the classes of `rows`.
            ignore_existing: Where there is one that may not be there twice, keep that.
        """
        verb = "INSERT OR IGNORE" if ignore_existing else "INSERT"
        with self.database.transaction() as db:
            for row in rows:
                values = asdict(row)
                marks = ", ".join(f":{name}" for name in values)
                names = ", ".join(values)
                db.execute(f"{verb} INTO {TABLES[type(row)]} ({names}) VALUES ({marks})", values)

    def get(self, kind: type[Row], row_id: str, /) -> Row:
        """Return a row by its id.

        Raises:
            NotFoundError: There is none.
        """
        rows = self.find(kind, id=row_id)
        if not rows:
            raise NotFoundError(f"there is no {_TITLES[TABLES[kind]]} {row_id!r}")
        return rows[0]

    def find(self, kind: type[Row], /, **equal: Any) -> list[Row]:
        """Return the rows whose columns have these values, oldest first."""
        condition = " AND ".join(f"{name} IS :{name}" for name in equal) or "1"
        query = f"SELECT * FROM {TABLES[kind]} WHERE {condition} ORDER BY rowid"  # noqa: S608 - names of columns
        with self.database.transaction() as db:
            return [_row(kind, row) for row in db.execute(query, equal)]

    def update(self, row: Any, *, only_if: dict[str, Any] | None = None, **changes: Any) -> bool:
        """Change columns of a row; return False if it is gone, or not as `only_if` says.

        Args:
            row: The row.
            only_if: Values that columns must have still, as others may have changed them.
            changes: New values.
        """
        table, conditions = TABLES[type(row)], {"id": row.id, **(only_if or {})}
        sets = ", ".join(f"{name} = :new_{name}" for name in changes)
        where = " AND ".join(f"{name} IS :{name}" for name in conditions)
        values = conditions | {f"new_{name}": value for name, value in changes.items()}
        with self.database.transaction() as db:
            done = db.execute(f"UPDATE {table} SET {sets} WHERE {where}", values)  # noqa: S608 - names of columns
            return done.rowcount == 1

    def delete(self, row: Any) -> None:
        """Remove a row; none, if it is gone."""
        with self.database.transaction() as db:
            db.execute(f"DELETE FROM {TABLES[type(row)]} WHERE id = ?", (row.id,))  # noqa: S608 - a name of ours


def _row(kind: type[Row], row: sqlite3.Row) -> Row:
    values = {field.name: row[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    for field in fields(kind):  # type: ignore[arg-type]
        if field.type == "bool":
            values[field.name] = bool(values[field.name])
    return kind(**values)
