"""The screen of `aisio top`."""

from __future__ import annotations

import io

import pytest

from aisio.cli.process_table import ProcessTable
from tests.cli.test_process_table import TABLE, process

rich_console = pytest.importorskip("rich.console")


def drawn(table: ProcessTable, **size: int) -> list[str]:
    """Return the lines of a screen."""
    from aisio.cli.process_screen import render

    file = io.StringIO()
    rich_console.Console(file=file, force_terminal=False, **size).print(render(table))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_sums_come_first_then_each_process():
    """So that they are seen where not all processes fit."""
    lines = drawn(TABLE, width=140)
    assert "1 of 2 ranks are seen" in lines[0]
    rows = [line.split() for line in lines if line[:5].strip()]
    assert [row[0] for row in rows if row[0] in ("rank", "all", "0")] == ["rank", "all", "0", "0"]
    assert lines[-1] == "Ctrl-C leaves this view"


def test_a_name_is_no_markup():
    """Nor does a long one take a second line."""
    name = "ais://b/[bold red]" + "x" * 300
    table = ProcessTable([process(1, {}, blocked_on=name, blocked_s=9.0)], now=11.0)
    lines = drawn(table, width=140)
    assert sum("[bold red]x" in line for line in lines) == 1
    assert max(map(len, lines)) <= 140
