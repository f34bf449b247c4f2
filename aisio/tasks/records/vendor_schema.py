"""The tables of anylearn.db, as anylearn 0.15.5 has them.

Programs of both may use one file. So the tables are the vendor's to the letter, and the number of
the revision stays where its migrations look for it.

Source:
    The schema of a database that anylearn 0.15.5 made: sqlite_master.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aisio.errors import ConfigError

__all__ = ["REVISION", "create_vendor_tables"]

REVISION = "ed56a42729b7"
"""The newest revision of anylearn 0.15.5's tables (alembic_version)."""

_RESOURCE = "(id VARCHAR(32) NOT NULL, checksum VARCHAR(128) NOT NULL, PRIMARY KEY (id))"
_PLACES = """
    algorithm_dir VARCHAR(4096),
    algorithm_archive VARCHAR(4096),
    dataset_id VARCHAR(32){required},
    dataset_dir VARCHAR(4096),
    dataset_archive VARCHAR(4096)"""
_TABLES = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    f"CREATE TABLE local_algorithm {_RESOURCE}",
    f"CREATE TABLE local_dataset {_RESOURCE}",
    f"CREATE TABLE local_model {_RESOURCE}",
    """CREATE TABLE local_train_task (
    id VARCHAR(32) NOT NULL,
    remote_state_sofar INTEGER NOT NULL,
    secret_key VARCHAR(32) NOT NULL,
    project_id VARCHAR(32) NOT NULL,
    hpo_final_metric DECIMAL,
    hpo_id VARCHAR(8),
    PRIMARY KEY (id))""",
    f"""CREATE TABLE local_hpo_experiment (
    id VARCHAR(8) NOT NULL,
    port INTEGER NOT NULL,
    mode VARCHAR(8) NOT NULL,
    status VARCHAR(16) NOT NULL,
    project_id VARCHAR(32) NOT NULL,
    project_name VARCHAR(255) NOT NULL,
    algorithm_id VARCHAR(32) NOT NULL,{_PLACES.format(required=" NOT NULL")},
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id))""",
    f"""CREATE TABLE local_train_profile (
    id VARCHAR(32) NOT NULL,
    train_task_id VARCHAR(32),
    algorithm_id VARCHAR(32) NOT NULL,{_PLACES.format(required="")},
    entrypoint VARCHAR(4096),
    train_params VARCHAR(4096),
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(train_task_id) REFERENCES local_train_task (id) ON DELETE SET NULL)""",
)


def create_vendor_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file; check the revision of one that has them.

    Raises:
        ConfigError: The file is not one of anylearn's, or of another revision.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))
        return
    if "alembic_version" not in tables:
        raise ConfigError(f"{path} is not a database of anylearn: it has no table alembic_version")
    revisions = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
    if revisions != [REVISION]:
        found = ", ".join(revisions) or "none"
        raise ConfigError(
            f"{path} has revision {found}, and {REVISION} is needed: open it once with anylearn "
            f"0.15.5, which updates older files"
        )
