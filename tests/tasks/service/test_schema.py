"""The tables of service.db have the columns of their rows."""

from __future__ import annotations

from dataclasses import fields

import pytest

from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import TABLES
from aisio.tasks.service.schema import MIGRATIONS


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_has_the_columns_of_its_row(tmp_path, kind):
    """And no more."""
    with Registry(tmp_path).database.transaction() as db:
        columns = {row["name"] for row in db.execute(f"PRAGMA table_info({TABLES[kind]})")}
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert columns == {field.name for field in fields(kind)}
