"""Database: an SQLite file with a versioned schema, shared by threads and processes.

Each transaction has a connection of its own. So nothing has to be closed, a forked process shares
none with its parent, and any number of processes may use one file: SQLite has them wait for one
another.

Source:
    https://www.sqlite.org/howtocorrupt.html, 2.6: a connection must not be carried across a fork.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aisio.errors import ConfigError, StorageError, StoreTimeoutError
from aisio.forks import SameProcess, this_process

__all__ = ["Database"]

BUSY_TIMEOUT_S = 60.0
"""How long a transaction waits for those of other processes, in seconds."""

_OPEN_TO_OWNER = 0o700


class Database:
    """One SQLite file; it is made on first use.

    Args:
        path: The file.
        create: Makes the tables of a new file, or brings those of an older one up to date; called
            in a transaction, once in a process.
    """

    def __init__(self, path: Path, create: Callable[[sqlite3.Connection], None]) -> None:
        self.path = path
        self._create = create
        self._ready_in: SameProcess | None = None

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_ready_in": None}

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change records: all changes of the block are kept, or none if it raises.

        Raises:
            StoreTimeoutError: Other processes kept the file locked.
            StorageError: It cannot be read or written.
            ConfigError: It is no database, or one of a newer version.
        """
        if self._ready_in is not this_process():
            self.path.parent.mkdir(mode=_OPEN_TO_OWNER, parents=True, exist_ok=True)
            with self._begin() as connection:
                self._create(connection)
            self._ready_in = this_process()
        with self._begin() as connection:
            yield connection

    @contextmanager
    def _begin(self) -> Iterator[sqlite3.Connection]:
        with self._translate_errors(), closing(self._connect()) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: this module begins transactions, not Python.
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreTimeoutError(
                    f"{self.path}: other processes kept it locked for {BUSY_TIMEOUT_S:.0f} s"
                ) from error
            raise StorageError(f"{self.path}: {error}") from error
        except sqlite3.IntegrityError as error:
            raise StorageError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{self.path} is not a database that aisio can use: {error}"
            ) from error


def migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[str, ...]) -> None:
    """Bring the schema of a file up to date; `PRAGMA user_version` counts the migrations.

    Args:
        connection: In a transaction.
        path: The file, for errors.
        migrations: Statements, separated by ";"; the first ones make the tables of a new file.

    Raises:
        ConfigError: The file is from a newer version of aisio.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise ConfigError(
            f"{path} has schema version {version}, this aisio knows up to {len(migrations)}: "
            f"update aisio, or use another home folder"
        )
    for migration in migrations[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    if version < len(migrations):
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
