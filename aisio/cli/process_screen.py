"""The one screen of `aisio top`, drawn by rich."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from aisio.cli.process_table import COLUMNS, ProcessTable

__all__ = ["render"]

_LEFT = frozenset({"now"})


def render(table: ProcessTable) -> Group:
    """Return a table for a terminal; lines that do not fit are left out by rich, from below.

    The sums stand first, so that they are always to be seen. Texts are no markup of rich: a name
    of an object cannot draw.
    """
    view = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        is_left = name in _LEFT
        view.add_column(
            name,
            justify="left" if is_left else "right",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if is_left else None,
        )
    *processes, sums = table.rows()
    view.add_row(*map(Text, sums), style="bold")
    for row in processes:
        view.add_row(*map(Text, row), style="reverse" if row[-1] else None)
    return Group(Text(table.head()), Text(""), view, Text(""), Text("Ctrl-C leaves this view"))
