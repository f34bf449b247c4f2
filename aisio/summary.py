"""What objects say of themselves: one line for `repr()`, a table for notebooks.

Neither sends a request, and neither shows credentials: passwords and signatures of URLs are hidden
(`aisio.redaction`), control characters are escaped (`aisio.escapes`), and a table is escaped for
HTML. A notebook shows what `_repr_html_` returns.

Source:
    https://ipython.readthedocs.io/en/stable/config/integrating.html, "Custom methods".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from aisio.escapes import one_line
from aisio.redaction import redacted

__all__ = ["StatsTable", "Summarized", "counted", "shown", "size_text"]

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def shown(value: object) -> str:
    """Return a value as one line of text without credentials."""
    return one_line(redacted(f"{value:,}" if type(value) is int else str(value)))


def counted(count: int, noun: str) -> str:
    """Return a number of things: "1 object", "1,200 objects"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_text(size_bytes: int) -> str:
    """Return a number of bytes in the largest decimal unit below it, as in "1.4 GB"."""
    if size_bytes < 1000:
        return counted(size_bytes, "byte")
    size = float(size_bytes)
    for unit in _UNITS:
        size /= 1000
        if size < 999.95 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


class Summarized:
    """The base of what has a summary: `_summary` says what it is and how much."""

    def _summary(self) -> Mapping[str, object]:
        """Return what is known without a request: names and values, the important ones first."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return the summary as a table, for notebooks."""
        rows = self._summary().items()
        return _html_table(type(self).__name__, [[name, value] for name, value in rows])


class StatsTable(dict[str, Any]):
    """Statistics by name: a dict, which notebooks show as a table with units.

    Names that end in "_s" are seconds, those with "bytes" are bytes. Under "workers" it may have
    statistics of the same names of each worker: these are further columns.
    """

    def _repr_html_(self) -> str:
        """Return the table."""
        workers: Mapping[object, Mapping[str, Any]] = self.get("workers") or {}
        head = ["", "all", *(f"worker {number}" for number in workers)] if workers else []
        rows = [
            [name, *(_stat_text(name, of.get(name)) for of in (self, *workers.values()))]
            for name in self
            if name != "workers"
        ]
        return _html_table("stats", rows, head)


def _stat_text(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f} s" if name.endswith("_s") else f"{value:,.3f}"
    if type(value) is int and "bytes" in name:
        return size_text(value)
    return "" if value is None else shown(value)


def _html_table(title: str, rows: Iterable[Iterable[object]], head: Iterable[str] = ()) -> str:
    heads = "".join(f"<th>{escape(shown(cell))}</th>" for cell in head)
    lines = [f"<tr>{heads}</tr>"] if heads else []
    for name, *values in rows:
        cells = "".join(f"<td>{escape(shown(value))}</td>" for value in values)
        lines.append(f"<tr><th>{escape(shown(name))}</th>{cells}</tr>")
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"
